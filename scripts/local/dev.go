package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"contactcenter/scripts/local/internal/runtime"
	"contactcenter/scripts/local/internal/token"
)

// maxInvocation is Lambda's limit of the event of a synchronous invocation.
const maxInvocation = 6_291_556

// handler serves the API and, beside it, what exists on one machine only.
func (s *stack) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("POST /dev/token", s.issueToken)
	mux.HandleFunc("GET /dev/functions", s.showFunctions)
	mux.HandleFunc("GET /dev/legal/{document}", showLegal)
	mux.HandleFunc("POST /dev/kill", s.kill)
	mux.HandleFunc("DELETE /dev/kill", s.spare)
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", s.invocation)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if api := s.api.Load(); api != nil {
			api.ServeHTTP(w, r)
			return
		}
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": "Service Unavailable"})
	})
	// ServeMux would redirect paths with // or .. in them; API Gateway takes them as they are.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, "/dev/") || strings.HasPrefix(r.URL.Path, "/2015-03-31/")
		if api := s.api.Load(); !local && api != nil {
			api.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is out; a caller that has gone by now can't be told anything.
	_ = json.NewEncoder(w).Encode(v)
}

func badRequest(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
}

func readJSON(r *http.Request, v any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("the body is not as expected: %w", err)
	}
	return nil
}

func (s *stack) health(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "starting"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

const (
	customerIssuer = "CrmJwt"
	operatorIssuer = "OperatorJwt"
	tokenLifetime  = time.Hour
)

func (s *stack) issueToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AccountID  string `json:"account_id"`
		Subject    string `json:"sub"`
		Scope      string `json:"scope"`
		TTLSeconds *int64 `json:"ttl_seconds"`
		Audience   string `json:"audience"`
	}
	if err := readJSON(r, &in); err != nil {
		badRequest(w, err)
		return
	}
	if in.Subject == "" || in.Scope == "" {
		badRequest(w, errors.New("sub and scope are needed"))
		return
	}
	name := customerIssuer
	if in.AccountID == "" && in.Scope == "operator" {
		name = operatorIssuer
	}
	issuer, ok := s.issuers[name]
	if !ok {
		badRequest(w, fmt.Errorf("the template has no authorizer %s", name))
		return
	}
	lifetime := tokenLifetime
	if in.TTLSeconds != nil {
		lifetime = time.Duration(*in.TTLSeconds) * time.Second
	}
	signed, err := issuer.Sign(token.Request{Subject: in.Subject, AccountID: in.AccountID, Scope: in.Scope, Audience: in.Audience, Lifetime: lifetime}, time.Now())
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": signed, "token_type": "Bearer", "expires_in": int64(lifetime / time.Second)})
}

func (s *stack) showFunctions(w http.ResponseWriter, _ *http.Request) {
	type shown struct {
		Function string `json:"function"`
		Folder   string `json:"folder"`
		runtime.State
	}
	out := []shown{}
	for _, f := range s.functions {
		out = append(out, shown{f.logicalID, f.folder, f.State()})
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": out})
}

func (s *stack) kill(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Function string `json:"function"`
		AfterMS  int64  `json:"after_ms"`
	}
	if err := readJSON(r, &in); err != nil {
		badRequest(w, err)
		return
	}
	f, ok := s.find(in.Function)
	if !ok || in.AfterMS < 0 {
		badRequest(w, fmt.Errorf("function %q is not in the template, or after_ms is negative", in.Function))
		return
	}
	killed := f.Kill(time.Duration(in.AfterMS) * time.Millisecond)
	writeJSON(w, http.StatusOK, map[string]any{"killed": killed, "armed": killed == 0})
}

// spare calls off the deaths that have been asked for and have not come yet.
func (s *stack) spare(w http.ResponseWriter, _ *http.Request) {
	spared := 0
	for _, f := range s.functions {
		spared += f.Spare()
	}
	writeJSON(w, http.StatusOK, map[string]any{"spared": spared})
}

// find knows a function by its logical id, its physical name, its ARN or its folder.
func (s *stack) find(name string) (*function, bool) {
	name = name[strings.LastIndex(name, ":")+1:]
	for _, f := range s.functions {
		if name == f.logicalID || name == f.name || name == f.folder {
			return f, true
		}
	}
	return nil, false
}

// invocation is Lambda's Invoke.
func (s *stack) invocation(w http.ResponseWriter, r *http.Request) {
	f, ok := s.find(r.PathValue("function"))
	if !ok {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		writeJSON(w, http.StatusNotFound, map[string]string{"Type": "User", "Message": "Function not found: " + r.PathValue("function")})
		return
	}
	event, err := io.ReadAll(io.LimitReader(r.Body, maxInvocation+1))
	if err != nil {
		badRequest(w, err)
		return
	}
	if len(event) > maxInvocation {
		w.Header().Set("X-Amzn-Errortype", "RequestTooLargeException")
		writeJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"Type": "User", "Message": "Request must be smaller than 6291556 bytes for the InvokeFunction operation"})
		return
	}
	if len(event) == 0 {
		event = []byte("{}")
	}
	if !json.Valid(event) {
		w.Header().Set("X-Amzn-Errortype", "InvalidRequestContentException")
		writeJSON(w, http.StatusBadRequest, map[string]string{"Type": "User", "Message": "Could not parse request body into json"})
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	switch r.Header.Get("X-Amz-Invocation-Type") {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	case "Event":
		go func() {
			// Nobody waits for it; it ends with the function's timeout, or with the function.
			if _, err := f.Invoke(context.WithoutCancel(r.Context()), event); err != nil {
				s.failed(f, "asynchronous invocation", err)
			}
		}()
		w.WriteHeader(http.StatusAccepted)
	default:
		s.answerInvocation(w, r, f, event)
	}
}

func (s *stack) answerInvocation(w http.ResponseWriter, r *http.Request, f *function, event []byte) {
	answer, err := f.Invoke(r.Context(), event)
	failed := (*runtime.FunctionError)(nil)
	switch {
	case errors.As(err, &failed):
		w.Header().Set("X-Amz-Function-Error", failed.Kind)
		answer = failed.Payload
	case err != nil:
		w.Header().Set("X-Amzn-Errortype", "ServiceException")
		writeJSON(w, http.StatusInternalServerError, map[string]string{"Type": "Service", "Message": err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A caller that has gone by now can't be told anything.
	_, _ = w.Write(answer)
}
