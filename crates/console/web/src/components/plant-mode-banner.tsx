import { Hand } from "lucide-react";
import { useAccount } from "@/account";
import { useI18n } from "@/i18n";

/** Says on every page that the plant systems may not be written, or not even read. */
export function PlantModeBanner() {
  const { t } = useI18n();
  const { plant_mode } = useAccount();
  return (
    <div role="status">
      {plant_mode !== "normal" && (
        <p className="flex items-center gap-3 border-b border-warning bg-warning-ground px-4 py-2 text-warning">
          <Hand className="size-5 shrink-0" aria-hidden />
          {t(`plantMode.banner.${plant_mode}`)}
        </p>
      )}
    </div>
  );
}
