import { useQuery } from "@tanstack/react-query";
import { type ReactNode, createContext, useContext } from "react";
import { api, body } from "@/api/client";
import type { Account } from "@/api/types";
import { LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

/** How often the account is read again, for what others change in it: role, grants, and the mode of the plant. */
const REFRESH_MS = 60_000;

const Context = createContext<Account | undefined>(undefined);

/** Loads the user's account before anything that needs it. */
export function AccountProvider({ children }: { children: ReactNode }) {
  const { t } = useI18n();
  const account = useQuery({ queryKey: ["account"], queryFn: () => body(api.GET("/v1/me")), refetchInterval: REFRESH_MS });
  if (account.data) return <Context value={account.data}>{children}</Context>;
  if (account.isError) {
    return (
      <main className="mx-auto max-w-xl p-6">
        <LoadError error={account.error} retry={() => void account.refetch()} />
      </main>
    );
  }
  return <Spinner label={t("loading")} />;
}

export function useAccount(): Account {
  const account = useContext(Context);
  if (!account) throw new Error("outside of AccountProvider");
  return account;
}

export function isAdmin({ role }: Account) {
  return role === "admin";
}

/** Whether the user reads all of the tenant's audit log. */
export function isAuditor({ role, grants }: Account) {
  return role === "admin" || grants.includes("auditor");
}

/** Whether the user administers the platform: its plants, but nothing inside of them. */
export function isPlatformAdmin({ grants }: Account) {
  return grants.includes("platform_admin");
}
