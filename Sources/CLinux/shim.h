// Linux interfaces that the Swift overlay of glibc leaves out, as static inline functions.
#ifndef SWITCHYARD_CLINUX_SHIM_H
#define SWITCHYARD_CLINUX_SHIM_H
#include <errno.h>
static inline int switchyard_errno(void) { return errno; }
#endif
