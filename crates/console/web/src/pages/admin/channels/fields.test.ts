import { describe, expect, it } from "vitest";
import type { Channel } from "@/api/plant";
import { EMPTY, changedConfig, configOf, fieldsOf, secretOf } from "./fields";

const teams: Channel = { id: "1", name: "Shift", kind: "teams", config: { url: "https://flow.example/workflows/1" } };
const mail: Channel = {
  id: "2",
  name: "Mail",
  kind: "email",
  config: { host: "mail.example", port: 587, from: "p@plant.example", to: ["a@plant.example", "b@plant.example"], tls: "starttls" },
};

describe("the form of a channel", () => {
  it("sends the fields of its kind alone", () => {
    expect(configOf({ ...EMPTY, url: " https://hooks.example/x " })).toEqual({ url: "https://hooks.example/x" });
    expect(configOf(fieldsOf(mail))).toEqual(mail.config);
    const several = { ...fieldsOf(mail), port: "", to: "a@x.example, b@x.example\n;c@x.example" };
    expect(configOf(several)).toEqual({
      host: "mail.example",
      from: "p@plant.example",
      to: ["a@x.example", "b@x.example", "c@x.example"],
      tls: "starttls",
    });
  });

  it("does not send back an address that is shown without its secret part", () => {
    expect(changedConfig(teams, { ...fieldsOf(teams), name: "Other" })).toBeUndefined();
    const moved = { ...fieldsOf(teams), url: "https://flow.example/workflows/2?sig=s" };
    expect(changedConfig(teams, moved)).toEqual({ url: "https://flow.example/workflows/2?sig=s" });
  });

  it("has a secret only if one was typed", () => {
    expect(secretOf("", "")).toBeUndefined();
    expect(secretOf("relay", "")).toBeUndefined();
    expect(secretOf("", "whsec_x")).toBe("whsec_x");
    expect(secretOf(" relay ", "p")).toEqual({ username: "relay", password: "p" });
  });
});
