/* fault.h - named places where tests make things fail.
 * Purpose: VN_FAULT("store.commit") is true when that fault is armed. Compiled to `false` outside test builds.
 * Arming: vn_fault_arm in a unit test, or the environment variable VANE_FAULT for a whole process:
 *   "name=N[,name=N]" fires at the N-th pass; "name=kill@N" kills the process (SIGKILL) there.
 * Threads: any (atomic counters). */
#ifndef VANE_BASE_FAULT_H
#define VANE_BASE_FAULT_H

#include "base/err.h"

#ifdef VN_FAULTS
bool vn_fault_hit(const char *name);
#define VN_FAULT(name) vn_fault_hit(name)
#else
#define VN_FAULT(name) false
#endif

enum vn_fault_action { VN_FAULT_FAIL, VN_FAULT_KILL };
/* Fires once, at the nth pass from now (1 = the next). At most 16 armed faults. */
void vn_fault_arm(const char *name, uint64_t nth, enum vn_fault_action action);
void vn_fault_clear(void);
/* How often the named place was passed since start (0 for an unknown name); counts only while anything is armed. */
uint64_t vn_fault_passes(const char *name);
/* Reads VANE_FAULT; call first in main. */
void vn_fault_init(void);

#endif
