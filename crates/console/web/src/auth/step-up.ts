// Requests that need a recent login.

import { ApiError } from "@/api/client";
import { signInAgain } from "./session";

/** Whether the platform wants a more recent login for it. */
export function needsRecentSignIn(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401 && error.code === "step_up_required";
}

/** Sends a request, and once more after a new login if the platform asks for one. */
export async function withRecentSignIn<T>(
  request: () => Promise<T>,
  again: () => Promise<void> = () => signInAgain("step-up"),
): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (!needsRecentSignIn(error)) throw error;
  }
  await again();
  return request();
}
