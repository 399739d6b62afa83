/** The page of one tag. Names of tags have slashes in some plants. */
export function tagPath(tag: string): string {
  return `/plant/tag?name=${encodeURIComponent(tag)}`;
}
