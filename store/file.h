/* file.h - the few file operations that the store needs and base does not have.
 * Threads: any. */
#ifndef VANE_STORE_FILE_H
#define VANE_STORE_FILE_H

#include "base/err.h"
#include "base/str.h"

#define VN_PATH_BYTES 1024

/* "a/b" into ret; INVALID_ARGUMENT if it does not fit. */
enum vn_rc vn_path_join(char ret[VN_PATH_BYTES], const char *a, const char *b, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_dir_make(const char *path, struct vn_err *err) VN_MUST_USE; /* existing is fine; fsyncs the parent */
enum vn_rc vn_dir_sync(const char *path, struct vn_err *err) VN_MUST_USE;
/* Removes a tree of the store's own files (at most 4 levels deep); missing is fine. */
enum vn_rc vn_dir_remove(const char *path, struct vn_err *err) VN_MUST_USE;
/* Whole reads and writes at an offset; a short read is DATA_LOSS. */
enum vn_rc vn_file_pread(int fd, void *ret, size_t n, uint64_t offset, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_file_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct vn_err *err) VN_MUST_USE;
/* Copies the first `bytes` bytes (UINT64_MAX: all) and fsyncs the copy. */
enum vn_rc vn_file_copy(const char *from, const char *to, uint64_t bytes, struct vn_err *err) VN_MUST_USE;
uint64_t vn_file_bytes_on_disk(const char *path); /* 0 if it is not there */

#endif
