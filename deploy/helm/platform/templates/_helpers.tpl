{{- define "platform.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels that select the release's pods. */}}
{{- define "platform.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "platform.labels" -}}
{{ include "platform.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "platform.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "platform.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "platform.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "platform.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.user.id }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "platform.securityContext" -}}
runAsNonRoot: true
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The secrets' variables by their names in `secrets.keys`. */}}
{{- define "platform.secretVariables" -}}
databaseUrl: DATABASE_URL
databaseWorkerUrl: DATABASE_WORKER_URL
databaseAuditUrl: DATABASE_AUDIT_URL
databasePlantUrl: DATABASE_PLANT_URL
secretKey: SECRET_KEY
plantSecretKey: PLANT_SECRET_KEY
redisUrl: REDIS_URL
modelApiKey: LITELLM_MASTER_KEY
auditSigningKey: AUDIT_SIGNING_KEY
{{- end }}

{{/* Files of the secret; `keys` are the names in `secrets.keys` to mount. */}}
{{- define "platform.secretItems" -}}
secret:
  name: {{ .root.Values.secrets.existingSecret }}
  items:
    {{- range $name := .keys }}
    {{- with get $.root.Values.secrets.keys $name }}
    - { key: {{ . | quote }}, path: {{ . | quote }} }
    {{- end }}
    {{- end }}
{{- end }}

{{- define "platform.secretEnv" -}}
{{- $variables := include "platform.secretVariables" .root | fromYaml }}
{{- range $name := .keys }}
{{- with get $.root.Values.secrets.keys $name }}
- { name: {{ get $variables $name }}_FILE, value: {{ printf "/run/platform/%s" . | quote }} }
{{- end }}
{{- end }}
{{- end }}

{{/* Seconds between the request to stop and SIGKILL: preStop, the grace of streams, and the server's final steps. */}}
{{- define "platform.terminationGracePeriod" -}}
{{- add (int .Values.server.preStopSeconds) (int .Values.server.shutdownGraceSeconds) 30 }}
{{- end }}

{{/* Pod template of the API or the worker: a dict with `root`, `component` and `values`. */}}
{{- define "platform.pod" -}}
{{- $keys := without (include "platform.secretVariables" .root | fromYaml | keys | sortAlpha) "databasePlantUrl" }}
metadata:
  labels:
    {{- include "platform.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with .root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ .root.Values.config | sha256sum }}
    {{- with .root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "platform.serviceAccount" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "platform.podSecurityContext" .root | nindent 4 }}
  terminationGracePeriodSeconds: {{ include "platform.terminationGracePeriod" .root }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "platform.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "platform.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [{{ eq .component "api" | ternary "serve" "worker" }}]
      securityContext:
        {{- include "platform.securityContext" .root | nindent 8 }}
      env:
        - { name: PLATFORM_CONFIG, value: /etc/platform/platform.toml }
        - { name: PLATFORM__SERVER__HOST, value: {{ .root.Values.server.host | quote }} }
        - { name: PLATFORM__SERVER__PORT, value: {{ .root.Values.server.port | quote }} }
        - { name: PLATFORM__SERVER__METRICS_PORT, value: {{ .root.Values.server.metricsPort | quote }} }
        - { name: PLATFORM__SERVER__SHUTDOWN_GRACE_S, value: {{ .root.Values.server.shutdownGraceSeconds | quote }} }
        - { name: PLATFORM__SERVER__BEHIND_PROXY, value: "true" }
        - { name: PLATFORM__STORAGE__DIR, value: /var/lib/platform/storage }
        {{- include "platform.secretEnv" (dict "root" .root "keys" $keys) | trim | nindent 8 }}
        {{- range $name, $value := .root.Values.env }}
        {{- if ne (toString $value) "" }}
        - { name: {{ $name }}, value: {{ $value | quote }} }
        {{- end }}
        {{- end }}
        {{- with .root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .root.Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if eq .component "api" }}
        - { name: http, containerPort: {{ int .root.Values.server.port }}, protocol: TCP }
        {{- end }}
        - { name: metrics, containerPort: {{ int .root.Values.server.metricsPort }}, protocol: TCP }
      # Behind a proxy the server opens its port when it is ready. Ten minutes, because it waits for its database.
      startupProbe:
        httpGet: {{ include "platform.liveness" .component }}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 300
      livenessProbe:
        httpGet: {{ include "platform.liveness" .component }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {{ include "platform.readiness" .component }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep: { seconds: {{ int .root.Values.server.preStopSeconds }} }
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/platform }
        - { name: tmp, mountPath: /tmp }
        - { name: config, mountPath: /etc/platform, readOnly: true }
        - { name: secrets, mountPath: /run/platform, readOnly: true }
        {{- with .root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: data
      {{- if .root.Values.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ default (include "platform.fullname" .root) .root.Values.persistence.existingClaim }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - name: tmp
      emptyDir: { sizeLimit: {{ .root.Values.tmpSize }} }
    - name: config
      configMap: { name: {{ include "platform.fullname" .root }} }
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          - {{- include "platform.secretItems" (dict "root" .root "keys" $keys) | nindent 12 }}
    {{- with .root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* The worker serves no API; its metrics are served once it has reached its database. */}}
{{- define "platform.liveness" -}}
{{- if eq . "api" }}{ path: /health, port: http }{{ else }}{ path: /metrics, port: metrics }{{ end }}
{{- end }}

{{- define "platform.readiness" -}}
{{- if eq . "api" }}{ path: /ready, port: http }{{ else }}{ path: /metrics, port: metrics }{{ end }}
{{- end }}

{{/* A rule of a NetworkPolicy's egress: peers and TCP ports. */}}
{{- define "platform.egress" -}}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    {{- range .ports }}
    - { protocol: TCP, port: {{ int . }} }
    {{- end }}
{{- end }}

{{- define "platform.egressDns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
{{- end }}
