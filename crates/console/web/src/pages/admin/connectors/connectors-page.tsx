import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { type Connector, type ConnectorCheck, connectors } from "@/api/plant";
import { DeleteDialog } from "@/components/delete-dialog";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { BrowseDialog } from "./browse-dialog";
import { ConnectorForm } from "./connector-form";
import { ImportDialog } from "./import-dialog";

const KEY = ["connectors"];

interface TrustDialogProps {
  connector: Connector;
  thumbprint: string;
  onTrusted: () => void;
  onClose: () => void;
}

/** Asks the administrator to compare the certificate before it is trusted. */
function TrustDialog({ connector, thumbprint, onTrusted, onClose }: TrustDialogProps) {
  const { t } = useI18n();
  const trust = useMutation({
    mutationFn: () => connectors.trust(connector.id, thumbprint),
    onSuccess: () => {
      onTrusted();
      onClose();
    },
  });
  return (
    <Dialog open onClose={onClose} title={t("connector.confirmTrust", { name: connector.name })} description={t("connector.confirmTrustHint")}>
      <p className="font-mono [overflow-wrap:anywhere]">{thumbprint}</p>
      {trust.isError && <Notice>{trust.error.message}</Notice>}
      <div className="mt-4 flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="primary" disabled={trust.isPending} onClick={() => trust.mutate()}>
          {t("connector.trust")}
        </Button>
      </div>
    </Dialog>
  );
}

function CheckOutcome({ check, onTrust }: { check: ConnectorCheck; onTrust: (thumbprint: string) => void }) {
  const { t } = useI18n();
  const thumbprint = check.untrusted_thumbprint;
  return (
    <Notice
      tone={check.ok ? "plain" : "alarm"}
      action={thumbprint && <Button onClick={() => onTrust(thumbprint)}>{t("connector.trust")}</Button>}
    >
      <span className="[overflow-wrap:anywhere]">
        {t(check.ok ? "connector.checkOk" : "connector.checkFailed")} {visibleText(check.detail)}
      </span>
    </Notice>
  );
}

type Action = { kind: "create"; connector?: undefined } | { kind: "change" | "delete" | "browse" | "import"; connector: Connector };

function Row({ connector, onOpen }: { connector: Connector; onOpen: (action: Action) => void }) {
  const { t } = useI18n();
  const [thumbprint, setThumbprint] = useState<string>();
  const check = useMutation({ mutationFn: () => connectors.check(connector.id) });
  const { name, kind, endpoint, tags, enabled, record, classification, has_secret } = connector;
  const facts = [
    endpoint,
    t("connector.tagCount", { count: tags.length }),
    record && t("connector.recorded", { days: record.keep_days }),
    has_secret && t("secretSet"),
  ];
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {name} <span className="font-normal text-quiet">{t(`connector.kind.${kind}`)}</span> {!enabled && <Badge>{t("connector.off")}</Badge>}
        </p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">{facts.filter(Boolean).join(" · ")}</p>
      </div>
      <Badge>{t(`class.${classification as "internal"}`)}</Badge>
      <div className="flex flex-wrap gap-2">
        <Button disabled={check.isPending} onClick={() => check.mutate()}>
          {t(check.isPending ? "connector.checking" : "connector.check")}
        </Button>
        <Button onClick={() => onOpen({ kind: "browse", connector })}>{t("connector.browse")}</Button>
        <Button onClick={() => onOpen({ kind: "import", connector })}>{t("connector.importCsv")}</Button>
        <Button onClick={() => onOpen({ kind: "change", connector })}>{t("change")}</Button>
        <Button onClick={() => onOpen({ kind: "delete", connector })}>{t("delete")}</Button>
      </div>
      {(check.isSuccess || check.isError) && (
        <div className="basis-full">
          {check.isError ? <Notice>{check.error.message}</Notice> : <CheckOutcome check={check.data} onTrust={setThumbprint} />}
        </div>
      )}
      {thumbprint && (
        <TrustDialog
          connector={connector}
          thumbprint={thumbprint}
          onTrusted={() => check.mutate()}
          onClose={() => setThumbprint(undefined)}
        />
      )}
    </li>
  );
}

function ActionDialog({ action: { kind, connector }, onClose }: { action: Action; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const refresh = () => void queries.invalidateQueries({ queryKey: KEY });
  const reload = () => {
    refresh();
    onClose();
  };
  if (kind === "browse") return <BrowseDialog connector={connector} onAdded={reload} onClose={onClose} />;
  // The dialog stays and says what was imported.
  if (kind === "import") return <ImportDialog connector={connector} onImported={refresh} onClose={onClose} />;
  if (kind === "delete") {
    return (
      <DeleteDialog
        title={t("connector.confirmDeletion", { name: connector.name })}
        description={t("connector.confirmDeletionHint")}
        remove={() => connectors.remove(connector.id)}
        onDeleted={reload}
        onClose={onClose}
      />
    );
  }
  const title = connector ? t("connector.changeOne", { name: connector.name }) : t("connector.add");
  return (
    <Dialog open onClose={onClose} title={title}>
      <ConnectorForm connector={connector} onSaved={reload} />
    </Dialog>
  );
}

/** Connections to plant systems, all of which only read. */
export function ConnectorsPage() {
  const { t } = useI18n();
  const [action, setAction] = useState<Action>();
  const list = usePages<Connector>({ key: KEY, staleTime: 0, load: (cursor) => connectors.list(cursor) });
  return (
    <section aria-label={t("connectors")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("connector.hint")}</p>
      <Button className="self-start" onClick={() => setAction({ kind: "create" })}>
        <Plus aria-hidden /> {t("connector.add")}
      </Button>
      <PagedList list={list} empty={t("connector.none")}>
        {(all) => (
          <ul aria-label={t("connectors")} className="flex flex-col gap-2">
            {all.map((connector) => (
              <Row key={connector.id} connector={connector} onOpen={setAction} />
            ))}
          </ul>
        )}
      </PagedList>
      {action && <ActionDialog action={action} onClose={() => setAction(undefined)} />}
    </section>
  );
}
