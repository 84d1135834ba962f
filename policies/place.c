#include "policies/place.h"

static const char *const providers[] = {
#define CLOUD(id, name) name,
#include "base/clouds.def"
};
static const char *const residencies[] = {"eu", "uk", "ch", "no", "us", "ca", "br", "in", "jp", "au", "sg", "kr"};

const char *vn_provider_name(enum vn_provider provider)
{
        return providers[provider];
}

bool vn_provider_parse(struct vn_str name, enum vn_provider *ret)
{
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                if (vn_str_eq(name, vn_str(providers[i]))) {
                        *ret = (enum vn_provider)i;
                        return true;
                }
        return false;
}

const char *vn_residency_name(enum vn_residency residency)
{
        return residencies[residency];
}

bool vn_residency_parse(struct vn_str name, enum vn_residency *ret)
{
        for (unsigned i = 0; i < VN_RESIDENCY_COUNT; i++)
                if (vn_str_eq(name, vn_str(residencies[i]))) {
                        *ret = (enum vn_residency)i;
                        return true;
                }
        return false;
}

/* Exact names where a prefix would lie (London is called eu-west-2, Zurich europe-west6), then prefixes. */
static const struct {
        enum vn_provider provider;
        bool whole;
        const char *name;
        enum vn_residency residency;
} regions[] = {
        {VN_PROVIDER_AWS, true, "eu-west-2", VN_RESIDENCY_UK},
        {VN_PROVIDER_AWS, true, "eu-central-2", VN_RESIDENCY_CH},
        {VN_PROVIDER_AWS, false, "eu-", VN_RESIDENCY_EU},
        {VN_PROVIDER_AWS, false, "us-", VN_RESIDENCY_US},
        {VN_PROVIDER_AWS, false, "ca-", VN_RESIDENCY_CA},
        {VN_PROVIDER_AWS, false, "sa-east-1", VN_RESIDENCY_BR},
        {VN_PROVIDER_AWS, false, "ap-south-", VN_RESIDENCY_IN},
        {VN_PROVIDER_AWS, true, "ap-northeast-1", VN_RESIDENCY_JP},
        {VN_PROVIDER_AWS, true, "ap-northeast-3", VN_RESIDENCY_JP},
        {VN_PROVIDER_AWS, true, "ap-northeast-2", VN_RESIDENCY_KR},
        {VN_PROVIDER_AWS, true, "ap-southeast-1", VN_RESIDENCY_SG},
        {VN_PROVIDER_AWS, true, "ap-southeast-2", VN_RESIDENCY_AU},
        {VN_PROVIDER_AWS, true, "ap-southeast-4", VN_RESIDENCY_AU},
        {VN_PROVIDER_AZURE, true, "northeurope", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, true, "westeurope", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "germany", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "france", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "sweden", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "italy", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "poland", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "spain", VN_RESIDENCY_EU},
        {VN_PROVIDER_AZURE, false, "uk", VN_RESIDENCY_UK},
        {VN_PROVIDER_AZURE, false, "switzerland", VN_RESIDENCY_CH},
        {VN_PROVIDER_AZURE, false, "norway", VN_RESIDENCY_NO},
        {VN_PROVIDER_AZURE, false, "canada", VN_RESIDENCY_CA},
        {VN_PROVIDER_AZURE, false, "brazil", VN_RESIDENCY_BR},
        {VN_PROVIDER_AZURE, true, "centralindia", VN_RESIDENCY_IN},
        {VN_PROVIDER_AZURE, true, "southindia", VN_RESIDENCY_IN},
        {VN_PROVIDER_AZURE, true, "westindia", VN_RESIDENCY_IN},
        {VN_PROVIDER_AZURE, false, "japan", VN_RESIDENCY_JP},
        {VN_PROVIDER_AZURE, false, "australia", VN_RESIDENCY_AU},
        {VN_PROVIDER_AZURE, true, "southeastasia", VN_RESIDENCY_SG},
        {VN_PROVIDER_AZURE, false, "korea", VN_RESIDENCY_KR},
        {VN_PROVIDER_AZURE, false, "eastus", VN_RESIDENCY_US},
        {VN_PROVIDER_AZURE, false, "westus", VN_RESIDENCY_US},
        {VN_PROVIDER_AZURE, false, "centralus", VN_RESIDENCY_US},
        {VN_PROVIDER_AZURE, false, "northcentralus", VN_RESIDENCY_US},
        {VN_PROVIDER_AZURE, false, "southcentralus", VN_RESIDENCY_US},
        {VN_PROVIDER_AZURE, false, "westcentralus", VN_RESIDENCY_US},
        {VN_PROVIDER_GCP, true, "europe-west2", VN_RESIDENCY_UK},
        {VN_PROVIDER_GCP, true, "europe-west6", VN_RESIDENCY_CH},
        {VN_PROVIDER_GCP, false, "europe-", VN_RESIDENCY_EU},
        {VN_PROVIDER_GCP, false, "us-", VN_RESIDENCY_US},
        {VN_PROVIDER_GCP, true, "northamerica-northeast1", VN_RESIDENCY_CA},
        {VN_PROVIDER_GCP, true, "northamerica-northeast2", VN_RESIDENCY_CA},
        {VN_PROVIDER_GCP, true, "southamerica-east1", VN_RESIDENCY_BR},
        {VN_PROVIDER_GCP, false, "asia-south1", VN_RESIDENCY_IN},
        {VN_PROVIDER_GCP, false, "asia-south2", VN_RESIDENCY_IN},
        {VN_PROVIDER_GCP, true, "asia-northeast1", VN_RESIDENCY_JP},
        {VN_PROVIDER_GCP, true, "asia-northeast2", VN_RESIDENCY_JP},
        {VN_PROVIDER_GCP, true, "asia-northeast3", VN_RESIDENCY_KR},
        {VN_PROVIDER_GCP, true, "asia-southeast1", VN_RESIDENCY_SG},
        {VN_PROVIDER_GCP, false, "australia-", VN_RESIDENCY_AU},
};

uint32_t vn_region_residency(enum vn_provider provider, struct vn_str region)
{
        enum vn_residency own;
        if (provider == VN_PROVIDER_HTTP)
                return vn_residency_parse(vn_str_cut(&region, '-'), &own) ? UINT32_C(1) << own : 0;
        for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
                struct vn_str name = vn_str(regions[i].name);
                if (regions[i].provider == provider &&
                    (regions[i].whole ? vn_str_eq(region, name) : vn_str_starts(region, name)))
                        return UINT32_C(1) << regions[i].residency;
        }
        return 0;
}
