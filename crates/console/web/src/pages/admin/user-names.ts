import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { displayName } from "@/lib/display-name";

/** Names of the plant's newest users by id, for lists that have ids alone. Only admins may read them. */
export function useUserNames(wanted: boolean): ReadonlyMap<string, string> {
  const users = useQuery({
    queryKey: ["user-names"],
    enabled: wanted,
    queryFn: () => body(api.GET("/v1/admin/users", { params: { query: { limit: 200 } } })),
  });
  return new Map(users.data?.data.map((user) => [user.id, displayName(user)]));
}
