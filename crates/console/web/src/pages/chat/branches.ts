// A conversation is a tree: an edit or another answer is a sibling. Its active branch is what is shown.

import type { Message } from "@/api/types";

export interface BranchMessage {
  message: Message;
  /** Messages with the same parent and role, oldest first, this one among them. */
  versions: Message[];
}

/** The messages of a branch, from its beginning to `last`. */
export function branch(messages: readonly Message[], last: string | null | undefined): BranchMessage[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: BranchMessage[] = [];
  let current = last ? byId.get(last) : messages.at(-1);
  while (current) {
    const { parent_id, role } = current;
    const versions = messages.filter((other) => other.parent_id === parent_id && other.role === role);
    path.unshift({ message: current, versions });
    current = parent_id ? byId.get(parent_id) : undefined;
  }
  return path;
}

/** The last message of the newest branch through a message. */
export function newestLeaf(messages: readonly Message[], from: string): string {
  let leaf = from;
  for (;;) {
    const children = messages.filter(({ parent_id }) => parent_id === leaf);
    const newest = children.reduce<Message | undefined>((best, child) => (best && best.seq > child.seq ? best : child), undefined);
    if (!newest) return leaf;
    leaf = newest.id;
  }
}
