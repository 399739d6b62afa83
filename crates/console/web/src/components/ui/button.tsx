import { type VariantProps, cva } from "class-variance-authority";
import { Slot } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "@/lib/utils";

export const buttonVariants = cva(
  "inline-flex shrink-0 items-center justify-center gap-2 rounded-md text-base font-medium select-none " +
    "min-h-target min-w-target disabled:opacity-55 disabled:cursor-not-allowed [&_svg]:size-5 [&_svg]:shrink-0",
  {
    variants: {
      variant: {
        primary: "bg-primary text-on-primary hover:opacity-90",
        outline: "border border-line bg-raised hover:bg-ground",
        ghost: "hover:bg-ground",
        danger: "border border-alarm text-alarm bg-raised hover:bg-alarm-ground",
      },
      size: { text: "px-4", icon: "px-0" },
    },
    defaultVariants: { variant: "outline", size: "text" },
  },
);

type ButtonProps = ComponentProps<"button"> & VariantProps<typeof buttonVariants> & { asChild?: boolean };

export function Button({ className, variant, size, asChild, ...props }: ButtonProps) {
  const Component = asChild ? Slot.Root : "button";
  return <Component type={asChild ? undefined : "button"} className={cn(buttonVariants({ variant, size }), className)} {...props} />;
}

/** A button that shows a picture only; `label` is its name and its tooltip. */
export function IconButton({ label, variant = "ghost", ...props }: ButtonProps & { label: string }) {
  return <Button aria-label={label} title={label} size="icon" variant={variant} {...props} />;
}
