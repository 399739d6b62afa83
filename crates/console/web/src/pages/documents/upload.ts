// Uploads, one request per file so that each has its own progress.

import { ApiError, authorization, noticeRefusedToken } from "@/api/client";
import type { Classification } from "@/api/types";
import { currentToken, refreshIfExpiring } from "@/auth/session";

export interface UploadOptions {
  classification: Classification;
  /** Separated by commas, or a JSON array. */
  tags: string;
  docType?: string;
  /** The team that the document is for; everybody's in the plant without it. */
  team?: string;
  /** The document that the file replaces. */
  supersedes?: string;
  /** The plant's own label of the revision. */
  revision?: string;
  /** First day on which it is in force, such as `2030-01-31`. */
  effectiveFrom?: string;
}

export interface Upload {
  name: string;
  /** From 0 to 1. */
  progress: number;
  status: "sending" | "done" | "known" | "failed";
  documentId?: string;
  error?: string;
}

interface Answer {
  document_id?: string;
  detail?: string;
  code?: string;
  errors?: { detail: string }[];
}

function parse(text: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return {};
  }
}

/** The form of an upload. The file comes last: the server wants to know what it is before it reads it. */
export function uploadForm(file: File, options: UploadOptions): FormData {
  const fields = {
    classification: options.classification,
    tags: options.tags.trim(),
    doc_type: options.docType,
    team_id: options.team,
    supersedes: options.supersedes,
    revision: options.revision,
    effective_from: options.effectiveFrom,
  };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) form.set(name, value);
  form.set("file", file);
  return form;
}

/** Sends a file; `fetch` tells no progress of what it sends. */
export async function upload(file: File, options: UploadOptions, onProgress: (part: number) => void): Promise<Upload> {
  await refreshIfExpiring();
  const form = uploadForm(file, options);
  const token = currentToken();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents/upload");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new TypeError());
    request.onload = () => {
      const answer = parse(request.responseText);
      if (request.status === 200 || request.status === 202) {
        const status = request.status === 200 ? "known" : "done";
        resolve({ name: file.name, progress: 1, status, documentId: answer.document_id });
        return;
      }
      noticeRefusedToken(new Response(null, { status: request.status }), token);
      const detail = answer.errors?.[0]?.detail ?? answer.detail ?? request.statusText;
      reject(new ApiError(request.status, answer.code ?? "unknown", detail));
    };
    request.send(form);
  });
}
