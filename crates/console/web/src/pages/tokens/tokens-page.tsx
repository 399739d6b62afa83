import { useQueryClient } from "@tanstack/react-query";
import { KeyRound } from "lucide-react";
import { useState } from "react";
import { useAccount } from "@/account";
import { Page } from "@/components/page";
import { Button } from "@/components/ui/button";
import { useI18n } from "@/i18n";
import { NewTokenDialog } from "./new-token";
import { TOKENS_KEY, TokenList } from "./token-list";

/** The user's own access tokens. */
export function TokensPage() {
  const { t } = useI18n();
  const account = useAccount();
  const queries = useQueryClient();
  const [isCreating, setCreating] = useState(false);
  return (
    <Page
      title={t("accessTokens")}
      actions={
        <Button onClick={() => setCreating(true)}>
          <KeyRound aria-hidden /> {t("newToken")}
        </Button>
      }
    >
      <p className="text-quiet">{t("accessTokensHint")}</p>
      <TokenList user={account.id} />
      {isCreating && (
        <NewTokenDialog
          onClose={() => setCreating(false)}
          onCreated={() => void queries.invalidateQueries({ queryKey: TOKENS_KEY })}
        />
      )}
    </Page>
  );
}
