// Which page stands at which address.

import type { Route } from "../router";
import { Link } from "../router";
import { Page } from "../ui";
import { AccountsPage } from "./accounts";
import { ApprovalsPage } from "./approvals";
import { AuditPage } from "./audit";
import { DecisionPage } from "./decision";
import { DecisionsPage } from "./decisions";
import { FunctionPage } from "./function";
import { FunctionsPage } from "./functions";
import { OverviewPage } from "./overview";
import { PeoplePage } from "./people";
import { PoliciesPage } from "./policies";
import { PolicyPage } from "./policy";

export const SECTIONS: { id: string; name: string; role?: string }[] = [
  { id: "overview", name: "Overview" },
  { id: "accounts", name: "Accounts" },
  { id: "functions", name: "Functions" },
  { id: "decisions", name: "Decisions" },
  { id: "policies", name: "Policies" },
  { id: "approvals", name: "Approvals" },
  { id: "audit", name: "Audit log" },
  { id: "people", name: "People", role: "admin" },
];

export function Pages({ route }: { route: Route }) {
  const [section = "overview", id, more] = route.path;
  if (more === undefined) {
    if (section === "overview" && !id) return <OverviewPage />;
    if (section === "accounts" && !id) return <AccountsPage />;
    if (section === "functions") return id ? <FunctionPage workload={id} /> : <FunctionsPage route={route} />;
    if (section === "decisions") return id ? <DecisionPage id={id} /> : <DecisionsPage route={route} />;
    if (section === "policies") return id ? <PolicyPage name={id} /> : <PoliciesPage />;
    if (section === "approvals" && !id) return <ApprovalsPage route={route} />;
    if (section === "audit" && !id) return <AuditPage />;
    if (section === "people" && !id) return <PeoplePage />;
  }
  return (
    <Page title="No such page">
      <p>Nothing stands at this address. <Link to={[]}>Go to the overview.</Link></p>
    </Page>
  );
}
