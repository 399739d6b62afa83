import { describe, expect, it } from "vitest";
import { type Reader, mapConcurrently, named } from "./who-can-see";

describe("mapConcurrently", () => {
  it("keeps the order and runs at most four at a time", async () => {
    let [running, most] = [0, 0];
    const work = async (item: number) => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 10 - item));
      running -= 1;
      return item * 2;
    };
    expect(await mapConcurrently([1, 2, 3, 4, 5, 6], work)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(most).toBe(4);
  });

  it("fails if one of them fails", async () => {
    await expect(mapConcurrently([1, 2], () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});

it("people are found by name or address", () => {
  const readers = [
    { user: { name: "Ana Ruiz", email: "a@plant.example" } },
    { user: { name: null, email: "kim@plant.example" } },
  ] as Reader[];
  expect(named(readers, " ruiz ")).toHaveLength(1);
  expect(named(readers, "KIM")).toHaveLength(1);
  expect(named(readers, "")).toHaveLength(2);
});
