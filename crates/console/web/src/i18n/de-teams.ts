// German texts of teams and spaces.

import type { enTeams } from "./en-teams";

export const deTeams: Record<keyof typeof enTeams, string> = {
  teams: "Teams",
  space: "Bereich",
  "space.home": "{plant} (alle)",
  "space.unknown": "Unbekanntes Team",
  unknownAuthor: "Jemand",
  withheldQuestion: "Diese Frage ist höher eingestuft, als Sie sehen dürfen.",
  "space.readOnly": "In diesem Team lesen Sie nur. Fragen stellen seine Mitglieder.",
  "space.noConversations": "Dieses Team hat noch keine Gespräche.",

  "team.hint":
    "Dokumente und Gespräche eines Teams gehören nur seinen Mitgliedern, wer auch immer sonst in der Anlage " +
    "arbeitet.",
  "team.none": "Sie gehören noch zu keinem Team.",
  "team.new": "Team gründen",
  "team.slug": "Kurzname",
  "team.slugHint": "Kleinbuchstaben, Ziffern und Bindestriche; eindeutig in der Anlage",
  "team.backToList": "Zurück zur Liste",
  "team.role.owner": "Inhaber",
  "team.role.member": "Mitglied",
  "team.role.viewer": "Leser",
  "team.roleHint.owner": "verwaltet Mitglieder und das Team",
  "team.roleHint.member": "stellt Fragen und fügt Dokumente hinzu",
  "team.roleHint.viewer": "liest und sucht",
  "team.yourRole": "Ihre Rolle: {role}; {may}.",
  "team.lowered": "Als Leser in Ihrer Anlage lesen und suchen Sie hier nur, gleich welche Rolle Sie im Team haben.",
  "team.guest": "Gast",
  "team.asGuest": "Sie sind Gast",
  "team.guestHint":
    "Dieses Team gehört einer anderen Anlage. Sie sehen, was bis zu der Grenze eingestuft ist, die sie Gästen " +
    "setzt, und nie mehr als zu Hause. Antworten und Fragen darüber werden zurückgehalten. Was Sie hier tun, " +
    "steht im Protokoll jener Anlage, und dass Sie es getan haben, auch im Protokoll Ihrer eigenen.",
  "team.guestOff":
    "Beendet eine der beiden Anlagen die Zusammenarbeit, ist das Team für Sie nicht erreichbar, bis sie wieder " +
    "erlaubt ist.",
  "team.openChat": "Gespräche des Teams",
  "team.openDocuments": "Dateien des Teams",
  "team.openSearch": "Etwas nachschlagen",
  "team.change": "Namen ändern",
  "team.changeTitle": "Name des Teams",
  "team.members": "Mitglieder",
  "team.roleOf": "Rolle von {name}",
  "team.joined": "seit {at}",
  "team.remove": "Entfernen",
  "team.removeTitle": "{name} entfernen?",
  "team.removeHint": "Der Zugang endet binnen Sekunden, laufende Antworten binnen einer Minute.",
  "team.leave": "Team verlassen",
  "team.leaveTitle": "Dieses Team verlassen?",
  "team.leaveHint": "Sie erreichen seine Dokumente und Gespräche nicht mehr. Ein Inhaber kann Sie wieder aufnehmen.",
  "team.lastOwner": "Der letzte Inhaber kann nicht gehen: Machen Sie zuerst jemand anderen zum Inhaber.",
  "team.addMember": "Mitglied hinzufügen",
  "team.person": "Person",
  "team.choosePerson": "Person wählen",
  "team.personId": "Benutzer-Id",
  "team.personIdHint": "Von jemandem in Ihrer Anlage. Die eigene steht unter der Liste der Teams.",
  "team.yourId": "Ihre Benutzer-Id, mit der ein Inhaber Sie in ein Team aufnimmt:",
  "team.invite": "Gast einladen",
  "team.inviteHint":
    "Für Leute einer anderen Anlage, deren Administratoren das erlauben. Ob es die Person gibt, erfahren Sie " +
    "nicht.",
  "team.inviteTenant": "Kurzname der anderen Anlage",
  "team.inviteSend": "Einladen",
  "team.invited": "Die Einladung ist ausgesprochen. Sie gilt bis {at}.",
  "team.delete": "Team löschen",
  "team.deleteTitle": "„{name}“ löschen?",
  "team.deleteHint":
    "Niemand erreicht mehr seine Dokumente und Gespräche. Ein Inhaber kann es einige Tage lang zurückholen; " +
    "danach ist alles endgültig weg.",
  "team.deleted": "Zur Löschung vorgemerkt",
  "team.deletedHint":
    "Zur Löschung vorgemerkt am {at}. Der Inhalt ist noch da und kann einige Tage lang zurückgeholt werden.",
  "team.restore": "Team zurückholen",
  "team.missing": "Dieses Team gibt es nicht, oder Sie gehören nicht dazu.",

  "invitation.title": "Einladungen an Sie",
  "invitation.expires": "gilt bis {at}",

  "settings.teams": "Teams über Anlagen hinweg",
  "settings.hostGuests": "Leute anderer Anlagen dürfen Gäste in Teams dieser Anlage sein",
  "settings.joinOthers": "Leute dieser Anlage dürfen Gäste in Teams anderer Anlagen sein",
  "settings.guestClassification": "Gäste sehen bis",
  "settings.deleteAfterDays": "Tage, bis ein gelöschtes Team endgültig weg ist",
  "settings.deleteAfterDaysHint": "Leer: 7",
};
