package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"contactcenter/scripts/local/internal/token"
)

// seedFile is what an operator sets up before the first customer comes, in order. {api} stands for the API's address.
//
//go:embed seed.json
var seedFile []byte

type seed struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body"`
}

// sow sends the seeds through the API with an operator's token, as an operator would. A seed whose route the template
// does not have is left out; one that is there already (409) is left as it is.
func (s *stack) sow(ctx context.Context) error {
	var seeds []seed
	if err := json.Unmarshal(seedFile, &seeds); err != nil {
		return fmt.Errorf("read seed.json: %w", err)
	}
	issuer, ok := s.issuers[operatorIssuer]
	if !ok {
		return nil
	}
	access, err := issuer.Sign(token.Request{Subject: "local-seed", Scope: "operator", Lifetime: time.Hour}, time.Now())
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Minute}
	for _, sd := range seeds {
		if !s.api.Load().Serves(sd.Method, sd.Path) {
			continue
		}
		if err := s.sowOne(ctx, client, access, sd); err != nil {
			return fmt.Errorf("seed %s %s: %w", sd.Method, sd.Path, err)
		}
	}
	return nil
}

// sowQuietly sows without the log lines of requests that nobody made, unless one of them fails.
func (s *stack) sowQuietly(ctx context.Context) error {
	s.logs.Hold()
	err := s.sow(ctx)
	s.logs.Release(err != nil)
	return err
}

func (s *stack) sowOne(ctx context.Context, client *http.Client, access string, sd seed) error {
	req, err := http.NewRequestWithContext(ctx, sd.Method, s.apiURL()+sd.Path, bytes.NewReader(bytes.ReplaceAll(sd.Body, []byte("{api}"), []byte(s.apiURL()))))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	told, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusConflict {
		return fmt.Errorf("the answer was %d: %s (the function's log is on stderr)", resp.StatusCode, bytes.TrimSpace(told))
	}
	return nil
}
