import { Trash2 } from "lucide-react";
import type { ReactNode } from "react";
import { Button, IconButton } from "@/components/ui/button";
import { Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";

export interface Option {
  value: string;
  label: string;
}

interface ChoiceProps {
  label: string;
  hint?: string;
  value: string;
  options: readonly Option[];
  onChange: (value: string) => void;
}

/** A choice between values and the platform's default. */
export function Choice({ label, hint, value, options, onChange }: ChoiceProps) {
  const { t } = useI18n();
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <Select {...ids} value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{t("platformDefault")}</option>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

interface NumberProps {
  label: string;
  hint?: string;
  value: string;
  min?: number;
  max?: number;
  /** Whether it may have decimals. */
  decimal?: boolean;
  required?: boolean;
  onChange: (value: string) => void;
}

/** A number, or nothing. */
export function NumberField({ label, hint, decimal = false, onChange, ...props }: NumberProps) {
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <Input
          {...ids}
          {...props}
          type="number"
          inputMode={decimal ? "decimal" : "numeric"}
          step={decimal ? "any" : 1}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

interface GroupProps {
  title: string;
  hint?: string;
  children: ReactNode;
}

/** Settings that belong together. */
export function Group({ title, hint, children }: GroupProps) {
  return (
    <fieldset className="flex min-w-0 flex-col gap-3 border-t border-line pt-3">
      <legend className="pr-2 font-semibold">{title}</legend>
      {hint && <p className="text-sm text-quiet">{hint}</p>}
      {children}
    </fieldset>
  );
}

interface RowsProps<T> {
  rows: readonly T[];
  /** A row that is added. */
  blank: T;
  onChange: (rows: T[]) => void;
  /** `number` counts from 1; it tells rows apart for those who do not see them. */
  children: (row: T, number: number, change: (row: T) => void) => ReactNode;
}

/** Rows that can be added and removed. */
export function Rows<T>({ rows, blank, onChange, children }: RowsProps<T>) {
  const { t } = useI18n();
  return (
    <>
      {rows.map((row, index) => (
        <div key={index} className="flex flex-wrap items-center gap-2">
          {children(row, index + 1, (next) => onChange(rows.map((one, at) => (at === index ? next : one))))}
          <IconButton
            label={t("removeRow", { number: index + 1 })}
            onClick={() => onChange(rows.filter((_, at) => at !== index))}
          >
            <Trash2 />
          </IconButton>
        </div>
      ))}
      <Button className="self-start" onClick={() => onChange([...rows, blank])}>
        {t("addRow")}
      </Button>
    </>
  );
}
