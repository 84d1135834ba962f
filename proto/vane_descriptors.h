/* vane_descriptors.h - the compiled descriptor set of vane/v1, for reflection and openapi.json. */
#ifndef VANE_PROTO_DESCRIPTORS_H
#define VANE_PROTO_DESCRIPTORS_H
extern const unsigned char vane_descriptor_set[];
extern const unsigned long vane_descriptor_set_bytes;
#endif
