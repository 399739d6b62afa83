import { useState } from "react";
import { Checkbox, Field, Input } from "@/components/ui/field";

interface ChoicesProps {
  name: string;
  hint?: string;
  /** Label of the box that finds one of many. */
  find: string;
  /** What can be chosen: names by id. */
  items: ReadonlyMap<string, string>;
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}

/** As many as are shown at once; others are found by their name. */
const SHOWN = 12;

/** Chooses several by name. Those that are chosen already come first, also such as have no name here. */
export function Choices({ name, hint, find, items, chosen, onChange }: ChoicesProps) {
  const [words, setWords] = useState("");
  const wanted = words.trim().toLowerCase();
  const others = [...items].filter(([id, text]) => !chosen.includes(id) && text.toLowerCase().includes(wanted));
  const toggle = (id: string, isOn: boolean) => onChange(isOn ? [...chosen, id] : chosen.filter((one) => one !== id));
  const choice = (id: string, text: string) => (
    <Checkbox key={id} label={text} checked={chosen.includes(id)} onChange={(event) => toggle(id, event.target.checked)} />
  );
  return (
    <fieldset className="flex min-w-0 flex-col gap-2 rounded-md border border-line p-3">
      <legend className="px-1 font-medium">{name}</legend>
      {hint && <p className="text-sm text-quiet">{hint}</p>}
      {items.size > SHOWN && (
        <Field label={find}>
          {(ids) => <Input {...ids} type="search" value={words} onChange={(event) => setWords(event.target.value)} />}
        </Field>
      )}
      <div className="flex flex-wrap gap-x-3">
        {chosen.map((id) => choice(id, items.get(id) ?? id))}
        {others.slice(0, SHOWN).map(([id, text]) => choice(id, text))}
      </div>
    </fieldset>
  );
}
