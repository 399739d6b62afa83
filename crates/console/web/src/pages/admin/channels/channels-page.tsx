import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus, Send } from "lucide-react";
import { useState } from "react";
import { type Channel, type ChannelTest, type Delivery, channels } from "@/api/plant";
import { DeleteDialog } from "@/components/delete-dialog";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { ChannelForm } from "./channel-form";

const KEY = ["channels"];
const DELIVERY_POLL_MS = 5_000;

function Deliveries({ channel }: { channel: Channel }) {
  const { t, moment } = useI18n();
  const list = usePages<Delivery>({
    key: [...KEY, channel.id, "deliveries"],
    staleTime: 0,
    load: (cursor) => channels.deliveries(channel.id, cursor),
    refetch: (items) => (items.some(({ status }) => status === "pending") ? DELIVERY_POLL_MS : false),
  });
  return (
    <PagedList list={list} empty={t("channel.noDeliveries")}>
      {(deliveries) => (
        <ul aria-label={t("channel.deliveries")} className="flex flex-col gap-2">
          {deliveries.map(({ id, event, status, recipient_id, attempts, last_error, created_at }) => (
            <li key={id} className="flex flex-wrap items-center gap-x-3 gap-y-1 rounded-md border border-line p-3">
              <span className="min-w-0 flex-1 basis-40">
                <span className="block text-sm text-quiet">
                  {moment(created_at)}
                  {recipient_id && ` · ${t("channel.toOneApprover")}`}
                </span>
                <span className="font-semibold [overflow-wrap:anywhere]">{event}</span>
              </span>
              <span className="text-sm text-quiet">{t("channel.attempts", { count: attempts })}</span>
              <Badge tone={status === "failed" ? "alarm" : "plain"}>{t(`channel.delivery.${status}`)}</Badge>
              {last_error && <span className="basis-full text-sm [overflow-wrap:anywhere]">{visibleText(last_error.detail)}</span>}
            </li>
          ))}
        </ul>
      )}
    </PagedList>
  );
}

/** What came of a test message. */
function TestOutcome({ outcome: { ok, detail } }: { outcome: ChannelTest }) {
  const { t } = useI18n();
  return (
    <Notice tone={ok ? "plain" : "alarm"}>
      {t(ok ? "channel.testSent" : "channel.testFailed")} {visibleText(detail)}
    </Notice>
  );
}

function Row({ channel, onOpen }: { channel: Channel; onOpen: (action: Action) => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const test = useMutation({
    mutationFn: () => channels.test(channel.id),
    onSettled: () => void queries.invalidateQueries({ queryKey: [...KEY, channel.id] }),
  });
  const { name, kind, config, has_secret } = channel;
  const destination = kind === "email" ? [config.host, config.to?.join(", ")].filter(Boolean).join(" · ") : config.url;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {name} <span className="font-normal text-quiet">{t(`channel.kind.${kind}`)}</span>
        </p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">
          {destination}
          {has_secret && ` · ${t("secretSet")}`}
        </p>
      </div>
      <div className="flex flex-wrap gap-2">
        <Button disabled={test.isPending} onClick={() => test.mutate()}>
          <Send aria-hidden /> {t("channel.test")}
        </Button>
        <Button onClick={() => onOpen({ kind: "deliveries", channel })}>{t("channel.deliveries")}</Button>
        <Button onClick={() => onOpen({ kind: "change", channel })}>{t("change")}</Button>
        <Button onClick={() => onOpen({ kind: "delete", channel })}>{t("delete")}</Button>
      </div>
      {(test.isSuccess || test.isError) && (
        <div className="basis-full">
          {test.isError ? <Notice>{test.error.message}</Notice> : <TestOutcome outcome={test.data} />}
        </div>
      )}
    </li>
  );
}

type Action = { kind: "create"; channel?: undefined } | { kind: "change" | "delete" | "deliveries"; channel: Channel };

function ActionDialog({ action, onClose }: { action: Action; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const reload = () => {
    void queries.invalidateQueries({ queryKey: KEY });
    onClose();
  };
  const { kind, channel } = action;
  if (kind === "delete") {
    return (
      <DeleteDialog
        title={t("channel.confirmDeletion", { name: channel.name })}
        description={t("channel.confirmDeletionHint")}
        remove={() => channels.remove(channel.id)}
        onDeleted={reload}
        onClose={onClose}
      />
    );
  }
  const title = kind === "create" ? t("channel.add") : t(kind === "change" ? "channel.changeOne" : "channel.deliveriesOf", { name: channel.name });
  return (
    <Dialog open onClose={onClose} title={title}>
      {kind === "deliveries" ? <Deliveries channel={channel} /> : <ChannelForm channel={channel} onSaved={reload} />}
    </Dialog>
  );
}

/** Where people are told that an approval waits for them. */
export function ChannelsPage() {
  const { t } = useI18n();
  const [action, setAction] = useState<Action>();
  const list = usePages<Channel>({ key: [...KEY, "list"], load: (cursor) => channels.list(cursor) });
  return (
    <section aria-label={t("channels")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("channel.hint")}</p>
      <Button className="self-start" onClick={() => setAction({ kind: "create" })}>
        <Plus aria-hidden /> {t("channel.add")}
      </Button>
      <PagedList list={list} empty={t("channel.none")}>
        {(all) => (
          <ul aria-label={t("channels")} className="flex flex-col gap-2">
            {all.map((channel) => (
              <Row key={channel.id} channel={channel} onOpen={setAction} />
            ))}
          </ul>
        )}
      </PagedList>
      {action && <ActionDialog action={action} onClose={() => setAction(undefined)} />}
    </section>
  );
}
