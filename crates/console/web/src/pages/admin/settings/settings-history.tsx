import type { components } from "@/api/schema";
import { PagedList, usePages } from "@/components/pages";
import { useI18n } from "@/i18n";
import { differences } from "./differences";

type Version = components["schemas"]["SettingsVersion"];

export interface VersionSource {
  key: readonly unknown[];
  load: (cursor: string | undefined) => Promise<{ data: Version[]; next_cursor?: string | null }>;
  /** Names of users by id. */
  names: ReadonlyMap<string, string>;
}

function Changes({ version, previous }: { version: Version; previous: Version }) {
  const { t } = useI18n();
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={t("version", { version: version.version })}>
      <table className="w-full text-left text-sm">
        <thead>
          <tr className="text-quiet">
            <th scope="col" className="py-1 pr-4 font-medium">{t("setting")}</th>
            <th scope="col" className="py-1 pr-4 font-medium">{t("valueBefore")}</th>
            <th scope="col" className="py-1 font-medium">{t("valueAfter")}</th>
          </tr>
        </thead>
        <tbody>
          {differences(previous.settings, version.settings).map(({ name, before, after }) => (
            <tr key={name} className="border-t border-line align-top [overflow-wrap:anywhere]">
              <th scope="row" className="py-1 pr-4 font-normal">{name}</th>
              <td className="py-1 pr-4">{before ?? <span className="text-quiet">{t("notSet")}</span>}</td>
              <td className="py-1">{after ?? <span className="text-quiet">{t("notSet")}</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** All versions of the settings, newest first: who changed what, and when. */
export function SettingsHistory({ source: { key, load, names } }: { source: VersionSource }) {
  const { t, moment } = useI18n();
  const list = usePages<Version>({ key, load });
  const author = (id: string | null | undefined) => (id ? t("changedBy", { name: names.get(id) ?? id }) : t("changedOutside"));
  return (
    <section aria-labelledby="history" className="flex flex-col gap-2">
      <h2 id="history">{t("history")}</h2>
      <PagedList list={list} empty={t("nothingFound")}>
        {(versions) => (
          <ol className="flex flex-col gap-2">
            {versions.map((version, index) => {
              const previous = versions[index + 1];
              return (
                <li key={version.version} className="flex flex-col gap-1 rounded-md border border-line bg-raised px-3 py-2">
                  <p className="flex flex-wrap gap-x-4">
                    <span className="font-semibold">{t("version", { version: version.version })}</span>
                    <span>{moment(version.changed_at)}</span>
                    <span className="text-quiet [overflow-wrap:anywhere]">
                      {version.version === 1 ? t("firstVersion") : author(version.changed_by)}
                    </span>
                  </p>
                  {previous && <Changes version={version} previous={previous} />}
                </li>
              );
            })}
          </ol>
        )}
      </PagedList>
    </section>
  );
}
