// Imports the tags of a CSV file: all of its lines, or none.

import { useMutation } from "@tanstack/react-query";
import { useRef } from "react";
import { ApiError } from "@/api/client";
import { type Connector, type TagImport, connectors } from "@/api/plant";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";

/** What the platform takes, in bytes. */
const MAX_BYTES = 4 << 20;

function Failure({ error }: { error: Error }) {
  const details = error instanceof ApiError ? error.details : [];
  return (
    <Notice>
      {details.length > 1 ? (
        <ul>
          {details.map((detail, index) => (
            <li key={index} className="[overflow-wrap:anywhere]">
              {visibleText(detail)}
            </li>
          ))}
        </ul>
      ) : (
        visibleText(error.message)
      )}
    </Notice>
  );
}

interface ImportDialogProps {
  connector: Connector;
  onImported: () => void;
  onClose: () => void;
}

export function ImportDialog({ connector, onImported, onClose }: ImportDialogProps) {
  const { t } = useI18n();
  const input = useRef<HTMLInputElement>(null);
  const send = useMutation<TagImport, Error, File>({
    mutationFn: (file) => {
      if (file.size > MAX_BYTES) throw new Error(t("connector.fileTooLarge", { mib: MAX_BYTES / (1 << 20) }));
      return connectors.importTags(connector.id, file);
    },
    onSuccess: onImported,
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={t("connector.importInto", { name: connector.name })}
      description={t("connector.importHint")}
    >
      <div className="flex flex-col gap-3">
        <p className="text-sm">
          {t("connector.importColumns")}{" "}
          <code className="[overflow-wrap:anywhere]">
            tag, address, unit, description, equipment, data_type, scale, normal_low, normal_high, alarm_low, alarm_high
          </code>
        </p>
        <input
          ref={input}
          type="file"
          hidden
          accept=".csv,text/csv"
          aria-label={t("connector.chooseFile")}
          onChange={(event) => {
            const file = event.target.files?.[0];
            if (file) send.mutate(file);
            // The same file can be chosen again after it was corrected.
            event.target.value = "";
          }}
        />
        {send.isError && <Failure error={send.error} />}
        {send.isSuccess && (
          <Notice tone="plain">{t("connector.imported", { count: send.data.imported, all: send.data.tags })}</Notice>
        )}
        <Button variant="primary" className="self-end" disabled={send.isPending} onClick={() => input.current?.click()}>
          {t(send.isPending ? "connector.importing" : "connector.chooseFile")}
        </Button>
      </div>
    </Dialog>
  );
}
