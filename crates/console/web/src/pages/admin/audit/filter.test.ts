import { expect, it } from "vitest";
import { filterOf, queryOf } from "./filter";

it("days become moments, and the last day is included", () => {
  const query = queryOf({ event_type: "chat.request", user_id: " ", from: "2026-03-30", to: "2026-03-31" });
  expect(query).toEqual({
    event_type: "chat.request",
    from: new Date(2026, 2, 30).toISOString(),
    to: new Date(2026, 3, 1).toISOString(),
  });
});

it("what is no day is left out", () => {
  expect(queryOf({ from: "soon" })).toEqual({ from: undefined });
});

it("the address has only names that the log can be filtered by", () => {
  expect(filterOf(new URLSearchParams("event_type=x&to=&other=1"))).toEqual({ event_type: "x" });
});
