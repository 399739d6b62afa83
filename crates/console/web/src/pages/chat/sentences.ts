/** Whether a text that is being written ends in the middle of a sentence. */
export function isMidSentence(text: string): boolean {
  return !/(^|[.!?:]["”)\]]*\s*|\n)$/.test(text);
}
