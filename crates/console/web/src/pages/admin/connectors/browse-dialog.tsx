// Chooses tags from what the plant system offers. They are added, none is changed.

import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Connector, type OfferedTag, connectors } from "@/api/plant";
import { LongList } from "@/components/long-list";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { type OfferState, csvOf, matches, offerStates } from "./offered";

/** Number of tags that a plant system is asked for. */
const LIMIT = 2_000;

interface Offer {
  tag: OfferedTag;
  state: OfferState;
}

/** Tags of one name can be offered at several addresses. */
function keyOf({ tag: { tag, address } }: Offer) {
  return `${address}\n${tag}`;
}

interface OffersProps {
  offers: readonly Offer[];
  chosen: ReadonlySet<string>;
  onChoose: (chosen: Set<string>) => void;
}

function Offers({ offers, chosen, onChoose }: OffersProps) {
  const { t } = useI18n();
  const [words, setWords] = useState("");
  const shown = offers.filter(({ tag }) => matches(tag, words));
  const choosable = shown.filter(({ state }) => state === "new");
  const isAllChosen = choosable.length > 0 && choosable.every((offer) => chosen.has(keyOf(offer)));
  const choose = (picked: readonly Offer[], isChosen: boolean) => {
    const next = new Set(chosen);
    for (const offer of picked) {
      if (isChosen) next.add(keyOf(offer));
      else next.delete(keyOf(offer));
    }
    onChoose(next);
  };
  return (
    <>
      <Field label={t("connector.filterOffers")}>
        {(ids) => <Input {...ids} type="search" value={words} onChange={(event) => setWords(event.target.value)} />}
      </Field>
      {offers.length >= LIMIT && <Notice tone="plain">{t("connector.offersCut", { count: LIMIT })}</Notice>}
      {choosable.length > 1 && (
        <Checkbox
          label={t("connector.chooseAll", { count: choosable.length })}
          checked={isAllChosen}
          onChange={(event) => choose(choosable, event.target.checked)}
        />
      )}
      {shown.length === 0 && <Empty>{t("connector.noOfferFound")}</Empty>}
      <LongList name={t("connector.offers")} items={shown} keyOf={keyOf} estimate={80}>
        {(offer, props) => {
          const { tag, state } = offer;
          const facts = [tag.address, tag.unit, tag.description].filter(Boolean).map((fact) => visibleText(String(fact)));
          return (
            <li key={keyOf(offer)} {...props} className="rounded-md border border-line px-3 py-1">
              <div className="flex flex-wrap items-center gap-x-3">
                <Checkbox
                  label={visibleText(tag.tag)}
                  disabled={state !== "new"}
                  checked={chosen.has(keyOf(offer))}
                  onChange={(event) => choose([offer], event.target.checked)}
                />
                {state !== "new" && <Badge>{t(`connector.offer.${state}`)}</Badge>}
              </div>
              <p className="pb-1 text-sm text-quiet [overflow-wrap:anywhere]">{facts.join(" · ")}</p>
            </li>
          );
        }}
      </LongList>
    </>
  );
}

interface BrowseDialogProps {
  connector: Connector;
  onAdded: () => void;
  onClose: () => void;
}

export function BrowseDialog({ connector, onAdded, onClose }: BrowseDialogProps) {
  const { t } = useI18n();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const offered = useQuery({
    queryKey: ["offered-tags", connector.id],
    queryFn: () => connectors.browse(connector.id, LIMIT),
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const tags = offered.data?.tags ?? [];
  const states = offerStates(tags, connector.tags);
  const offers = tags.map((tag, index) => ({ tag, state: states[index] ?? "known" }));
  const picked = offers.filter((offer) => chosen.has(keyOf(offer))).map(({ tag }) => tag);
  const add = useMutation({ mutationFn: () => connectors.importTags(connector.id, csvOf(picked)), onSuccess: onAdded });
  return (
    <Dialog
      open
      onClose={onClose}
      title={t("connector.offersOf", { name: connector.name })}
      description={t("connector.offersHint")}
    >
      <div className="flex flex-col gap-3">
        {offered.isPending && <Spinner label={t("connector.browsing")} />}
        {offered.isError && <LoadError error={offered.error} retry={() => void offered.refetch()} />}
        {offered.isSuccess && !offered.data.supported && <Empty>{t("connector.cannotBrowse")}</Empty>}
        {offered.isSuccess && offered.data.supported && tags.length === 0 && <Empty>{t("connector.noOffers")}</Empty>}
        {tags.length > 0 && <Offers offers={offers} chosen={chosen} onChoose={setChosen} />}
        {add.isError && <Notice>{add.error.message}</Notice>}
        {tags.length > 0 && (
          <div className="sticky bottom-0 flex justify-end border-t border-line bg-raised pt-3">
            <Button variant="primary" disabled={picked.length === 0 || add.isPending} onClick={() => add.mutate()}>
              {t("connector.addOffers", { count: picked.length })}
            </Button>
          </div>
        )}
      </div>
    </Dialog>
  );
}
