import { NavLink } from "react-router";
import { cn } from "@/lib/utils";

interface SubNavigationProps {
  name: string;
  links: readonly { path: string; name: string }[];
}

/** The links of a page that has several parts. */
export function SubNavigation({ name, links }: SubNavigationProps) {
  return (
    <nav aria-label={name} className="no-print -mt-2 flex gap-1 overflow-x-auto border-b border-line md:flex-wrap">
      {links.map((link) => (
        <NavLink
          key={link.path}
          to={link.path}
          className={({ isActive }) =>
            cn(
              "flex min-h-target min-w-target shrink-0 items-center justify-center border-b-3 px-3",
              isActive ? "border-ink font-semibold" : "border-transparent text-quiet",
            )
          }
        >
          {link.name}
        </NavLink>
      ))}
    </nav>
  );
}
