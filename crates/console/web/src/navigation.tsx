import {
  Brain,
  ClipboardCheck,
  Factory,
  FileText,
  LogOut,
  MessageSquareText,
  Search,
  Settings2,
  ShieldCheck,
  Target,
  UsersRound,
} from "lucide-react";
import { type ComponentType, useEffect, useRef } from "react";
import { NavLink, useLocation, useSearchParams } from "react-router";
import { isAuditor, isPlatformAdmin, useAccount } from "@/account";
import { type Feature, hasFeature } from "@/api/features";
import type { Account } from "@/api/types";
import { type MessageKey, useI18n } from "@/i18n";
import { displayName } from "@/lib/display-name";
import { cn } from "@/lib/utils";
import { useWaitingBadge } from "@/pages/approvals/queries";
import { SPACED_PAGES, inSpace, spaceOf } from "@/space/space";

interface PageLink {
  path: string;
  name: MessageKey;
  picture: ComponentType<{ className?: string; "aria-hidden"?: boolean }>;
  /** Shown if the server has this part. */
  feature?: Feature;
  /** Shown to these users; to all unless given. */
  isFor?: (account: Account) => boolean;
}

/** The pages that are built. A link to one of a later version belongs here when its page does. */
const PAGES: readonly PageLink[] = [
  { path: "/chat", name: "chat", picture: MessageSquareText },
  { path: "/search", name: "search", picture: Search },
  { path: "/documents", name: "documents", picture: FileText },
  { path: "/approvals", name: "approvals", picture: ClipboardCheck, feature: "approvals" },
  { path: "/goals", name: "goals", picture: Target, feature: "goals" },
  { path: "/teams", name: "teams", picture: UsersRound, feature: "teams" },
  { path: "/plant", name: "plant", picture: Factory, feature: "workOrders" },
  { path: "/memories", name: "memories", picture: Brain },
  { path: "/admin", name: "admin", picture: ShieldCheck, isFor: (account) => isAuditor(account) || isPlatformAdmin(account) },
  { path: "/display", name: "display", picture: Settings2 },
];

/** Id of the text that says how many approvals wait. */
const WAITING = "waiting-approvals";

const item =
  "flex min-h-target min-w-[4.5rem] flex-1 shrink-0 flex-col items-center justify-center gap-0.5 rounded-md px-1 py-1 " +
  "text-xs hover:bg-ground md:w-full md:flex-none";

/** The page that is shown is told by weight and a line, too: themes of high contrast have no greys. */
const current =
  "bg-ground font-semibold text-ink shadow-[inset_0_3px_0_var(--ink)] md:shadow-[inset_3px_0_0_var(--ink)]";

/** How many approvals wait for the user. It is no part of the link's name, which programs and voice control rely on. */
function WaitingBadge({ count }: { count: string }) {
  const { t } = useI18n();
  return (
    <>
      <span
        aria-hidden
        className="absolute -top-1 left-1/2 ml-1.5 min-w-5 rounded-full bg-primary px-1.5 text-center text-xs leading-5 font-semibold text-on-primary"
      >
        {count}
      </span>
      <span id={WAITING} hidden>
        {t("approval.waiting", { count })}
      </span>
    </>
  );
}

/** The links of the console: a rail at the left, or a bar at the bottom of a small screen. */
export function Navigation({ onSignOut }: { onSignOut: () => void }) {
  const { t } = useI18n();
  const account = useAccount();
  const bar = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // From one page of a space, the others are in it, too.
  const team = spaceOf(useSearchParams()[0]);
  const waiting = useWaitingBadge();
  useEffect(() => {
    // On a small screen the bar scrolls sideways.
    bar.current?.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [pathname]);
  const pages = PAGES.filter(({ feature, isFor }) => (!feature || hasFeature(feature)) && (!isFor || isFor(account)));
  return (
    <header className="no-print order-last flex shrink-0 overflow-x-auto border-line bg-surface p-1 max-md:border-t md:order-first md:w-24 md:flex-col md:overflow-y-auto md:border-r">
      <nav ref={bar} aria-label={t("mainNavigation")} className="flex flex-auto gap-0.5 md:flex-none md:flex-col">
        {pages.map(({ path, name, picture: Picture }) => (
          <NavLink
            key={path}
            to={SPACED_PAGES.includes(path) ? inSpace(path, team) : path}
            aria-describedby={name === "approvals" && waiting ? WAITING : undefined}
            className={({ isActive }) => cn(item, isActive ? current : "text-quiet")}
          >
            <span className="relative">
              <Picture className="size-5" aria-hidden />
              {name === "approvals" && waiting && <WaitingBadge count={waiting} />}
            </span>
            {t(name)}
          </NavLink>
        ))}
      </nav>
      <div className="flex md:mt-auto md:flex-col">
        <span className="hidden truncate px-1 pb-1 text-center text-xs text-quiet md:block" title={account.email}>
          {displayName(account)}
        </span>
        <button type="button" onClick={onSignOut} className={cn(item, "text-quiet")}>
          <LogOut className="size-5" aria-hidden />
          {t("signOut")}
        </button>
      </div>
    </header>
  );
}
