/* billing.h - how each plan bills a call: what a billed second costs at a memory size, rounding, minimum, egress.
 * Threads: the control loop; pure but for the meter position in the account's prices.
 * Sources: the clouds' published rules; figures that prices carry come from the account's own PriceReport. Grants are
 *   taken as used up (docs/architecture.md, "Money"). */
#ifndef VANE_SERVER_ROUTING_BILLING_H
#define VANE_SERVER_ROUTING_BILLING_H

#include "decide/view.h"
#include "server/registry/registry.h"
#include "server/telemetry/telemetry.h"

/* Fills the PRICES part of an endpoint at this memory size. False if the account's prices do not cover its plan. */
bool vn_billing_fill(const struct vn_account_prices *prices, enum vn_cloud_id cloud, const char *region,
                     uint32_t memory_mb, uint32_t peak_mb, struct vn_endpoint *ret);
/* Expected USD a million warm calls of this duration (us), by the same rules. */
double vn_billing_usd_per_million(const struct vn_endpoint *endpoint, double duration_us, double response_bytes);
/* vCPU that a size gets (for GCP's bill, and for what a plan offers). */
double vn_billing_gcp_vcpu(uint32_t memory_mb);

#endif
