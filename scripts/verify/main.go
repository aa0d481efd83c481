// Command verify checks evidence bundles and certificates of the Contact Center, without asking it anything:
//
//	curl -s https://…/v1/evidence-keys > keys.json
//	go run ./scripts/verify -keys keys.json bundle.json [part2.json …]
//
// A file is what the API answered (a part of a bundle, an erasure, the closing of an account), a JSON list of those, or the signed
// documents themselves, one a line. The program prints what it checked. It ends with an error when anything does not fit, and when a part of
// a bundle is missing. Whoever relies on it gets keys.json from the Contact Center, and not from whoever shows the evidence.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"contactcenter/shared/evidence"
	"contactcenter/shared/sign"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	keysFile := flags.String("keys", "", "file with the keys, as GET /v1/evidence-keys answers")
	var files []string
	for rest := args; ; { // flags may stand behind files
		if err := flags.Parse(rest); err != nil {
			return fmt.Errorf("%w\nusage: verify -keys keys.json file …", err)
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		files, rest = append(files, rest[0]), rest[1:]
	}
	if *keysFile == "" || len(files) == 0 {
		return errors.New("usage: verify -keys keys.json file …; - is the standard input")
	}
	b, err := os.ReadFile(*keysFile)
	if err != nil {
		return err
	}
	keys, err := sign.ParseJWKS(b)
	if err != nil {
		return err
	}
	var all []string
	for _, name := range files {
		documents, err := load(name, in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, documents...)
	}
	return verify(keys, all, out)
}

// load reads the signed documents of a file.
func load(name string, in io.Reader) ([]string, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = io.ReadAll(in)
	} else {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return fromJSON(json.RawMessage(text))
	}
	documents := strings.Fields(text)
	if len(documents) == 0 {
		return nil, errors.New("there is no signed document in it")
	}
	return documents, nil
}

// fromJSON finds the signed documents in what the API answered.
func fromJSON(b json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	if bytes.HasPrefix(b, []byte("[")) {
		if err := json.Unmarshal(b, &list); err != nil {
			return nil, err
		}
		var all []string
		for _, one := range list {
			some, err := fromJSON(one)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		return all, nil
	}
	var jws string
	if json.Unmarshal(b, &jws) == nil {
		return []string{jws}, nil
	}
	var answer struct {
		JWS         string `json:"jws"`
		SHA256      string `json:"sha256"`
		Certificate string `json:"certificate"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.JWS != "" && answer.SHA256 != "" && answer.SHA256 != sign.Hash(answer.JWS):
		return nil, errors.New("its sha256 is not that of the part beside it")
	case answer.JWS != "":
		return []string{answer.JWS}, nil
	case answer.Certificate != "":
		return []string{answer.Certificate}, nil
	}
	return nil, errors.New("there is no signed document in it")
}

// verify checks documents. Those that are parts of one bundle are put in their order.
func verify(keys sign.Keys, documents []string, out io.Writer) error {
	var bundles []bundle
	for i, jws := range documents {
		d, err := keys.Verify(jws)
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
		switch d.Type {
		case evidence.BundleType:
			if bundles, err = sorted(bundles, jws, d); err == nil {
				continue
			}
		case evidence.ErasureType:
			err = erasure(keys, jws, d, out)
		case evidence.ClosureType:
			err = closure(keys, jws, d, out)
		default:
			err = evidence.ErrFormat
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	for _, b := range bundles {
		if err := b.check(keys, out); err != nil {
			return fmt.Errorf("bundle %s: %w", b.id, err)
		}
	}
	return nil
}

type bundle struct {
	id    string
	parts []numbered
	kids  []string
}

type numbered struct {
	part int
	jws  string
}

// sorted adds a part, whose signature was checked, to its bundle.
func sorted(list []bundle, jws string, d sign.Document) ([]bundle, error) {
	var p evidence.Part
	if err := json.Unmarshal(d.Payload, &p); err != nil {
		return nil, evidence.ErrFormat
	}
	at := slices.IndexFunc(list, func(b bundle) bool { return b.id == p.BundleID })
	if at < 0 {
		list, at = append(list, bundle{id: p.BundleID}), len(list)
	}
	b := &list[at]
	b.parts = append(b.parts, numbered{p.Part, jws})
	if !slices.Contains(b.kids, d.KeyID) {
		b.kids = append(b.kids, d.KeyID)
	}
	return list, nil
}

func (b bundle) check(keys sign.Keys, out io.Writer) error {
	slices.SortStableFunc(b.parts, func(x, y numbered) int { return x.part - y.part })
	var signed []string
	for _, p := range b.parts {
		signed = append(signed, p.jws)
	}
	parts, err := evidence.VerifyBundle(keys, signed...)
	if err != nil {
		return err
	}
	first, last := parts[0], parts[len(parts)-1]
	return say(out,
		"bundle "+b.id+": verified",
		"  account            "+first.AccountID,
		"  recipient          "+first.RecipientID,
		"  generated          "+first.GeneratedAt.String(),
		"  signed with        "+strings.Join(b.kids, ", "),
		fmt.Sprintf("  parts              %d, each signed and linked to the one before, none missing", len(parts)),
		fmt.Sprintf("  messages           %d, each once, of the recipient's addresses%s", last.Totals.Messages, period(first)),
		fmt.Sprintf("  audit events       %d, each once, of the account%s", last.Totals.AuditEvents, chainOf(first)),
		fmt.Sprintf("  consents, opt-outs, acceptances: %d, %d, %d", len(first.Consents), len(first.OptOuts), len(first.Acceptances)),
		"  sha256             "+sign.Hash(signed[len(signed)-1]),
	)
}

// chainOf says what was checked of the chain of audit events.
func chainOf(p evidence.Part) string {
	if p.AuditHead == nil {
		return "; there was no chain of them yet"
	}
	return fmt.Sprintf(", each with its hash in the chain, which ended at %d, %s", p.AuditHead.Sequence, p.AuditHead.Hash)
}

func period(p evidence.Part) string {
	if p.Period == nil {
		return ""
	}
	return " and of the period from " + p.Period.From.String() + " to " + p.Period.To.String()
}

func erasure(keys sign.Keys, jws string, d sign.Document, out io.Writer) error {
	e, err := evidence.VerifyErasure(keys, jws)
	if err != nil {
		return err
	}
	return say(out,
		"certificate of erasure "+e.ErasureID+": verified",
		"  account            "+e.AccountID,
		"  completed          "+e.CompletedAt.String(),
		fmt.Sprintf("  erased             recipients %d, addresses %d, consents %d, messages %d, of which canceled %d", e.Erased.Recipients, e.Erased.Addresses, e.Erased.Consents, e.Erased.Messages, e.Erased.MessagesCanceled),
		"  signed with        "+d.KeyID,
	)
}

func closure(keys sign.Keys, jws string, d sign.Document, out io.Writer) error {
	c, err := evidence.VerifyClosure(keys, jws)
	if err != nil {
		return err
	}
	return say(out,
		"certificate of the closing of "+c.AccountID+": verified",
		"  purged             "+c.PurgedAt.String(),
		fmt.Sprintf("  purged were        channels %d, conversations %d, messages %d, of which canceled %d, records of recipients %d", c.Purged.Channels, c.Purged.Conversations, c.Purged.Messages, c.Purged.MessagesCanceled, c.Purged.RecipientRecords),
		"  signed with        "+d.KeyID,
	)
}

func say(out io.Writer, lines ...string) error {
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
