import { Navigate, useSearchParams } from "react-router";
import { visibleText } from "@/lib/invisible";
import { TagDetail } from "./tag-detail";

/** One tag; its name is in the address. */
export function TagPage() {
  const [parameters] = useSearchParams();
  const tag = parameters.get("name");
  if (!tag) return <Navigate to="/plant/tags" replace />;
  return (
    <section aria-labelledby="tag" className="flex flex-col gap-3">
      <h2 id="tag" className="[overflow-wrap:anywhere]">
        {visibleText(tag)}
      </h2>
      <TagDetail key={tag} tag={tag} />
    </section>
  );
}
