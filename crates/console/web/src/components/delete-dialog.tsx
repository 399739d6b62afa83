import { useMutation } from "@tanstack/react-query";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

interface DeleteDialogProps {
  title: string;
  description: string;
  remove: () => Promise<unknown>;
  onDeleted: () => void;
  onClose: () => void;
}

/** Asks before something is deleted. */
export function DeleteDialog({ title, description, remove, onDeleted, onClose }: DeleteDialogProps) {
  const { t } = useI18n();
  const deletion = useMutation({
    mutationFn: remove,
    onSuccess: () => {
      onDeleted();
      onClose();
    },
  });
  return (
    <Dialog open onClose={onClose} title={title} description={description}>
      {deletion.isError && <Notice>{deletion.error.message}</Notice>}
      <div className="mt-2 flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="danger" disabled={deletion.isPending} onClick={() => deletion.mutate()}>
          {t("delete")}
        </Button>
      </div>
    </Dialog>
  );
}
