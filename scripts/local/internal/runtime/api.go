package runtime

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxResponse is Lambda's limit of the answer of a synchronous invocation.
const maxResponse = 6_291_556

// runtimeAPI is the Runtime API of one process.
// See https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct{ p *process }

func (a runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/2018-06-01/runtime/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	id, what, _ := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
	switch {
	case r.Method == http.MethodGet && path == "invocation/next":
		a.next(w, r)
	case r.Method == http.MethodPost && path == "init/error":
		a.initError(w, r)
	case r.Method == http.MethodPost && what == "response":
		a.response(w, r, id)
	case r.Method == http.MethodPost && what == "error":
		a.failure(w, r, id)
	default:
		http.NotFound(w, r)
	}
}

func (a runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	f := a.p.function
	if !f.ready(a.p) {
		answer(w, http.StatusBadRequest)
		return
	}
	var i *invocation
	select {
	case i = <-a.p.next:
	case <-r.Context().Done():
		return
	case <-a.p.ended:
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(i.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", f.config.ARN)
	trace := strings.ReplaceAll(i.id, "-", "")
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-"+trace[:8]+"-"+trace[8:]+";Sampled=0")
	// A process that went away meanwhile fails its event when it is reaped.
	_, _ = w.Write(i.payload)
	f.mu.Lock()
	doomed := a.p.doomed
	f.mu.Unlock()
	if doomed {
		_ = http.NewResponseController(w).Flush()
		f.end(a.p)
	}
}

func (a runtimeAPI) response(w http.ResponseWriter, r *http.Request, id string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		answer(w, http.StatusBadRequest)
		return
	}
	out := result{payload: body}
	switch kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); {
	case kind != "":
		told, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if err != nil || len(told) == 0 {
			out = result{err: unhandled(kind, "the function's answer broke off")}
			break
		}
		out = result{err: &FunctionError{Kind: "Unhandled", Payload: told}}
	case len(body) > maxResponse:
		out = result{err: unhandled("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")}
	}
	a.finish(w, id, out)
}

func (a runtimeAPI) failure(w http.ResponseWriter, r *http.Request, id string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		answer(w, http.StatusBadRequest)
		return
	}
	a.finish(w, id, result{err: &FunctionError{Kind: "Unhandled", Payload: body}})
}

func (a runtimeAPI) finish(w http.ResponseWriter, id string, r result) {
	if !a.p.function.finish(a.p, id, r) {
		answer(w, http.StatusBadRequest)
		return
	}
	answer(w, http.StatusAccepted)
}

func (a runtimeAPI) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		answer(w, http.StatusBadRequest)
		return
	}
	f := a.p.function
	f.mu.Lock()
	a.p.initError = body
	f.mu.Unlock()
	answer(w, http.StatusAccepted)
}

func answer(w http.ResponseWriter, status int) {
	text := `{"status":"OK"}`
	if status >= 400 {
		text = `{"errorType":"InvalidRequestID","errorMessage":"there is no such event in hand"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
