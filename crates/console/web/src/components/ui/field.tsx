import { type ComponentProps, type ReactNode, useId } from "react";
import { cn } from "@/lib/utils";

const control = "min-h-target w-full rounded-md border border-line bg-raised px-3 text-base placeholder:text-quiet";

export function Input({ className, ...props }: ComponentProps<"input">) {
  return <input className={cn(control, className)} {...props} />;
}

export function TextArea({ className, ...props }: ComponentProps<"textarea">) {
  return <textarea className={cn(control, "min-h-24 py-2", className)} {...props} />;
}

export function Select({ className, ...props }: ComponentProps<"select">) {
  return <select className={cn(control, "pr-8", className)} {...props} />;
}

interface FieldProps {
  label: string;
  /** What else the user should know before filling it in. */
  hint?: string;
  className?: string;
  children: (ids: { id: string; "aria-describedby"?: string }) => ReactNode;
}

/** A control with its label. */
export function Field({ label, hint, className, children }: FieldProps) {
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div className={cn("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children({ id, "aria-describedby": hint ? hintId : undefined })}
      {hint && (
        <p id={hintId} className="text-sm text-quiet">
          {hint}
        </p>
      )}
    </div>
  );
}

/** A checkbox in a target that a gloved finger hits. */
export function Checkbox({ label, ...props }: ComponentProps<"input"> & { label: string }) {
  return (
    <label className="inline-flex min-h-target cursor-pointer items-center gap-3 pr-2">
      <input type="checkbox" className="size-5 accent-primary" {...props} />
      {label}
    </label>
  );
}
