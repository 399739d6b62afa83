import { Archive, ArchiveRestore, Download, PanelLeft, Pencil, Plus, Printer, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { api, send } from "@/api/client";
import type { Conversation } from "@/api/types";
import { Button, IconButton } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn, download } from "@/lib/utils";
import { inSpace } from "@/space/space";
import type { Space } from "@/space/use-space";
import { useRefreshConversations } from "./conversation-list";

interface HeaderProps {
  /** Missing before there is one. */
  conversation: Conversation | undefined;
  space: Space;
  /** Whether the list makes room for a document on screens that are wide enough for one of them. */
  isListHidden: boolean;
  onChanged: () => void;
  onList: () => void;
}

function RenameDialog({ conversation, onClose, onChanged }: { conversation: Conversation; onClose: () => void; onChanged: () => void }) {
  const { t } = useI18n();
  const [title, setTitle] = useState(conversation.title ?? "");
  const [failed, setFailed] = useState(false);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const params = { path: { id: conversation.id } };
    try {
      await api.PATCH("/v1/conversations/{id}", { params, body: { title: title.trim() } });
      onChanged();
      onClose();
    } catch {
      setFailed(true);
    }
  };
  return (
    <Dialog open onClose={onClose} title={t("renameTitle")}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void save(event)}>
        <Field label={t("title")}>
          {(ids) => <Input {...ids} value={title} maxLength={512} autoFocus onChange={(event) => setTitle(event.target.value)} />}
        </Field>
        {failed && <Notice>{t("notSaved")}</Notice>}
        <Button type="submit" variant="primary" disabled={!title.trim()}>
          {t("save")}
        </Button>
      </form>
    </Dialog>
  );
}

function DeleteDialog({ onClose, onDelete }: { onClose: () => void; onDelete: () => void }) {
  const { t } = useI18n();
  return (
    <Dialog open onClose={onClose} title={t("deleteConversation")} description={t("deleteConversationHint")}>
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="danger" onClick={onDelete}>
          {t("delete")}
        </Button>
      </div>
    </Dialog>
  );
}

/** File name of an export, from the server's header if it has one. */
function fileName(response: Response, fallback: string) {
  const disposition = response.headers.get("content-disposition") ?? "";
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  const plain = /filename="([^"]+)"/i.exec(disposition)?.[1];
  return encoded ? decodeURIComponent(encoded) : (plain ?? fallback);
}

interface ActionsProps {
  conversation: Conversation;
  space: Space;
  onChanged: () => void;
}

function Actions({ conversation, space: { team, mayContribute }, onChanged }: ActionsProps) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const refreshList = useRefreshConversations();
  const [dialog, setDialog] = useState<"rename" | "delete">();
  const [failed, setFailed] = useState(false);
  const params = { path: { id: conversation.id } };
  const attempt = (work: Promise<unknown>) => {
    setFailed(false);
    work.catch(() => setFailed(true));
  };
  const changed = () => {
    onChanged();
    void refreshList();
  };
  const setArchived = async (archived: boolean) => {
    await api.PATCH("/v1/conversations/{id}", { params, body: { archived } });
    changed();
  };
  const exportFile = async () => {
    const response = await send(`/v1/conversations/${conversation.id}/export?format=markdown`);
    download(await response.blob(), fileName(response, "conversation.md"));
  };
  const remove = async () => {
    setDialog(undefined);
    await api.DELETE("/v1/conversations/{id}", { params });
    void refreshList();
    await navigate(inSpace("/chat", team));
  };
  return (
    <div className="no-print flex items-center">
      {failed && <Notice>{t("notSaved")}</Notice>}
      {mayContribute && (
        <>
          <IconButton label={t("rename")} onClick={() => setDialog("rename")}>
            <Pencil />
          </IconButton>
          <IconButton
            label={conversation.archived ? t("restore") : t("archive")}
            onClick={() => attempt(setArchived(!conversation.archived))}
          >
            {conversation.archived ? <ArchiveRestore /> : <Archive />}
          </IconButton>
        </>
      )}
      <IconButton label={t("export")} onClick={() => attempt(exportFile())}>
        <Download />
      </IconButton>
      <IconButton label={t("print")} onClick={() => window.print()}>
        <Printer />
      </IconButton>
      {mayContribute && (
        <IconButton label={t("delete")} onClick={() => setDialog("delete")}>
          <Trash2 />
        </IconButton>
      )}
      {dialog === "rename" && (
        <RenameDialog conversation={conversation} onClose={() => setDialog(undefined)} onChanged={changed} />
      )}
      {dialog === "delete" && <DeleteDialog onClose={() => setDialog(undefined)} onDelete={() => attempt(remove())} />}
    </div>
  );
}

export function ConversationHeader({ conversation, space, isListHidden, onChanged, onList }: HeaderProps) {
  const { t } = useI18n();
  const withoutList = cn("no-print", isListHidden ? "2xl:hidden" : "lg:hidden");
  const navigate = useNavigate();
  return (
    <header className="flex flex-wrap items-center gap-x-2 border-b border-line bg-surface px-3 py-1">
      <IconButton label={t("conversations")} onClick={onList} className={withoutList}>
        <PanelLeft />
      </IconButton>
      <div className="min-w-0 flex-1 basis-40">
        <h1 className="truncate text-lg">{conversation ? (conversation.title ?? t("untitled")) : t("chat")}</h1>
        {space.details && <p className="truncate text-sm text-quiet">{visibleText(space.details.name)}</p>}
      </div>
      {space.mayContribute && (
        <IconButton
          label={t("newConversation")}
          onClick={() => void navigate(inSpace("/chat", space.team))}
          className={withoutList}
        >
          <Plus />
        </IconButton>
      )}
      {conversation && <Actions conversation={conversation} space={space} onChanged={onChanged} />}
    </header>
  );
}
