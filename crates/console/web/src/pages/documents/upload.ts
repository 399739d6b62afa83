// Uploads, one request per file so that each has its own progress.

import { ApiError, authorization, noticeRefusedToken } from "@/api/client";
import type { Classification } from "@/api/types";
import { currentToken } from "@/auth/session";

export interface UploadOptions {
  classification: Classification;
  tags: string;
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

/** Sends a file; `fetch` tells no progress of what it sends. */
export function upload(file: File, options: UploadOptions, onProgress: (part: number) => void): Promise<Upload> {
  const form = new FormData();
  form.set("classification", options.classification);
  if (options.tags.trim()) form.set("tags", options.tags);
  form.set("file", file);
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
