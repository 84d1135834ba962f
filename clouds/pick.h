/* pick.h - small things that the three clouds share: picking from JSON, growing lists, minutes, instances.
 * Purpose: internal to clouds/. Threads: a handle's. Ownership: picked texts borrow from the JSON. */
#ifndef VANE_CLOUDS_PICK_H
#define VANE_CLOUDS_PICK_H

#include <jansson.h>

#include "clouds/observe.h"

typedef json_t *vn_json_auto;
static inline void vn_json_cleanup(json_t **p)
{
        json_decref(*p);
}
typedef struct vn_cloud_response vn_response_auto;
static inline void vn_response_cleanup(struct vn_cloud_response *response)
{
        vn_cloud_response_done(response);
}

enum vn_rc vn_json_load(struct vn_str text, json_t **ret, struct vn_err *err) VN_MUST_USE;
json_t *vn_json_at(json_t *root, const char *dotted);        /* borrowed; NULL if any part is missing */
struct vn_str vn_json_str(json_t *root, const char *dotted); /* empty if missing or no string */
double vn_json_pick_number(json_t *root, const char *dotted, double missing); /* also a number in a string */
/* Copies, cutting what does not fit. */
void vn_text_copy(char *to, size_t to_bytes, struct vn_str from);

enum vn_rc vn_list_add(struct vn_cloud_list *list, const struct vn_cloud_function *function,
                       struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_list_unreachable(struct vn_cloud_list *list, struct vn_str location, struct vn_err *err) VN_MUST_USE;
/* After a failure amid a list: OK with `what` noted as unreachable when the rest may still be had or was had, else rc. */
enum vn_rc vn_list_partial(struct vn_cloud_list *list, enum vn_rc rc, const char *what,
                           struct vn_err *err) VN_MUST_USE;
int64_t vn_price_since(struct vn_str text); /* an effective date; 0: none that can be read */
enum vn_rc vn_price_add(struct vn_cloud_price_list *list, const struct vn_cloud_price *price,
                        struct vn_err *err) VN_MUST_USE;
/* True at the first sight of an instance by this handle. */
bool vn_instance_is_new(struct vn_cloud *cloud, const char *function, const char *instance);
/* Puts (count, errors, throttles) into the minute of start_us; keeps ret ascending. False when full. */
bool vn_minute_add(struct vn_cloud_minute *ret, size_t cap, size_t *count, int64_t start_us,
                   const struct vn_cloud_minute *add);

#endif
