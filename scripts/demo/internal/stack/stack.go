// Package stack sees a running local stack from outside: its API with the tokens that it issues itself, what exists on one
// machine only, and the providers' simulators. The scenes and the day stand on it.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// callTimeout bounds every call. It is long because a flood on a small machine is slow.
const callTimeout = time.Minute

// Addresses are where the parts of a stack listen, without scheme.
type Addresses struct{ API, Sim, AWS string }

// Stack is a running local stack. It is safe for concurrent use.
type Stack struct {
	// API and AWS are URLs.
	API, AWS string
	sim      string
	http     *http.Client
}

// New gives the stack that listens there. It calls nothing.
func New(at Addresses) *Stack {
	transport := &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 500, IdleConnTimeout: time.Minute}
	return &Stack{
		API: "http://" + at.API, AWS: "http://" + at.AWS, sim: "http://" + at.Sim,
		http: &http.Client{Timeout: callTimeout, Transport: transport},
	}
}

// Answers finds out whether the API is ready and the simulators are there.
func (s *Stack) Answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, url := range []string{s.API + "/healthz", s.steering("edna", "behaviour")} {
		got, err := s.Do(ctx, http.MethodGet, url, "", nil)
		if err != nil {
			return err
		}
		if got.Status != http.StatusOK {
			return fmt.Errorf("%s answers %d", url, got.Status)
		}
	}
	return nil
}

// Answer is the answer to one call.
type Answer struct {
	Status int
	Body   []byte
	what   string
}

// Problem is an error as the API tells it, or the gateway in front of it.
type Problem struct {
	Code    string `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

// Problem reads an answer as one. Without one, all is empty.
func (a Answer) Problem() Problem {
	var p Problem
	_ = json.Unmarshal(a.Body, &p) // without one, all is empty
	return p
}

// Unexpected is the error for an answer that should have been another. It tells codes and titles only: bodies may have content.
func (a Answer) Unexpected() error {
	p := a.Problem()
	if p.Code == "sender_unavailable" {
		return errors.New("all senders of the stack are taken: delete channels, or start the stack anew")
	}
	return fmt.Errorf("%s answers %d %s%s", a.what, a.Status, p.Code, p.Message)
}

// into reads an answer that has to have a status.
func (a Answer) into(status int, v any) error {
	if a.Status != status {
		return a.Unexpected()
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.what, err)
	}
	return nil
}

// Do makes one call of a URL of the stack; token "" for none.
func (s *Stack) Do(ctx context.Context, method, url, token string, body any) (Answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Answer{}, fmt.Errorf("write a request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return Answer{}, fmt.Errorf("write a request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	got := Answer{what: method + " " + req.URL.Path, Status: resp.StatusCode}
	if got.Body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20)); err != nil {
		return Answer{}, fmt.Errorf("read the answer of %s: %w", got.what, err)
	}
	return got, nil
}

// Call makes a call of a URL beside the API, which has to get a status, and reads what it answers into v, if v is not nil.
func (s *Stack) Call(ctx context.Context, method, url string, body any, status int, v any) error {
	got, err := s.Do(ctx, method, url, "", body)
	if err != nil {
		return err
	}
	return got.into(status, v)
}

// Get reads what is at a URL of the stack's own, beside the API.
func (s *Stack) Get(ctx context.Context, url string, v any) error {
	return s.Call(ctx, http.MethodGet, url, nil, http.StatusOK, v)
}

// FunctionState is what the stack tells of a function.
type FunctionState struct {
	Folder      string `json:"folder"`
	Busy        int    `json:"busy"`
	Invocations int    `json:"invocations"`
}

// Functions are the states by folder.
func (s *Stack) Functions(ctx context.Context) (map[string]FunctionState, error) {
	var told struct {
		Items []FunctionState `json:"items"`
	}
	if err := s.Get(ctx, s.API+"/dev/functions", &told); err != nil {
		return nil, err
	}
	out := map[string]FunctionState{}
	for _, f := range told.Items {
		out[f.Folder] = f
	}
	return out, nil
}

// Kill ends the processes of a function that have an event in hand, as a machine that fails does, and tells how many.
func (s *Stack) Kill(ctx context.Context, function string) (int, error) {
	var told struct {
		Killed int `json:"killed"`
	}
	err := s.Call(ctx, http.MethodPost, s.API+"/dev/kill", map[string]any{"function": function}, http.StatusOK, &told)
	return told.Killed, err
}
