import { useI18n } from "@/i18n";
import { TokenList } from "@/pages/tokens/token-list";
import { useUserNames } from "./user-names";

/** The access tokens of all users of the plant. */
export function PlantTokensPage() {
  const { t } = useI18n();
  const names = useUserNames(true);
  return (
    <section aria-label={t("accessTokens")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("accessTokensOfPlantHint")}</p>
      <TokenList names={names} />
    </section>
  );
}
