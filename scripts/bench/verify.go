package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

// compared is one write or read: what the engine says that it consumed, and what the unit rules say.
type compared struct {
	What     string  `json:"what"`
	Bytes    int     `json:"item_bytes"`
	Reported float64 `json:"reported_units"`
	Computed float64 `json:"computed_units"`
	Same     bool    `json:"same"`
}

// verification is what -verify prints.
type verification struct {
	Endpoint string     `json:"endpoint"`
	Compared []compared `json:"compared"`
	Same     int        `json:"same"`
	Other    int        `json:"other"`
}

const verifyTable = "BenchVerify"

// watched is a client that asks for the consumed capacity of every call, and compares it.
type watched struct {
	*dynamodb.Client
	what string
	list []compared
}

func (w *watched) stored(ctx context.Context, key map[string]types.AttributeValue) (int, error) {
	out, err := w.Client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(verifyTable), Key: map[string]types.AttributeValue{"pk": key["pk"], "sk": key["sk"]}, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, err
	}
	return awsclient.ItemBytes(out.Item), nil
}

func (w *watched) note(bytes int, c *types.ConsumedCapacity, computed float64) error {
	if c == nil {
		return fmt.Errorf("%s: the engine reports no ConsumedCapacity", w.what)
	}
	reported := aws.ToFloat64(c.CapacityUnits)
	w.list = append(w.list, compared{w.what, bytes, reported, computed, reported == computed})
	return nil
}

// PutItem writes, and compares.
func (w *watched) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	before, err := w.stored(ctx, in.Item)
	if err != nil {
		return nil, err
	}
	out, err := w.Client.PutItem(ctx, in, opts...)
	if err != nil {
		return out, err
	}
	size := max(before, awsclient.ItemBytes(in.Item))
	return out, w.note(size, out.ConsumedCapacity, awsclient.WriteUnits(size))
}

// UpdateItem writes, and compares with the larger of the item before and after.
func (w *watched) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	before, err := w.stored(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	out, err := w.Client.UpdateItem(ctx, in, opts...)
	if err != nil {
		return out, err
	}
	after, err := w.stored(ctx, in.Key)
	if err != nil {
		return out, err
	}
	size := max(before, after)
	return out, w.note(size, out.ConsumedCapacity, awsclient.WriteUnits(size))
}

// Query reads, and compares.
func (w *watched) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := w.Client.Query(ctx, in, opts...)
	if err != nil {
		return out, err
	}
	size := 0
	for _, it := range out.Items {
		size += awsclient.ItemBytes(it)
	}
	return out, w.note(size, out.ConsumedCapacity, awsclient.ReadUnits(size, aws.ToBool(in.ConsistentRead)))
}

// verify runs the writes of a message's life, and those of a gate as it fills, against an engine that was written by
// others, with the code that the functions use, and compares what the engine reports with the unit rules.
func verify(ctx context.Context, url string) (verification, error) {
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), BaseEndpoint: &url, HTTPClient: awsclient.HTTPClient(awsclient.DynamoDBTimeout)}
	w := &watched{Client: dynamodb.NewFromConfig(cfg)}
	if err := w.makeTable(ctx); err != nil {
		return verification{}, err
	}
	defer func() {
		// The engine is in memory, and the next run would say if the table were left.
		_, _ = w.DeleteTable(context.WithoutCancel(ctx), &dynamodb.DeleteTableInput{TableName: aws.String(verifyTable)})
	}()
	for _, length := range []int{20, 60, 160, 400, 3000, 12000} {
		if err := w.message(ctx, length); err != nil {
			return verification{}, err
		}
	}
	if err := w.gate(ctx); err != nil {
		return verification{}, err
	}
	out := verification{Endpoint: url, Compared: w.list}
	for _, c := range w.list {
		if c.Same {
			out.Same++
		} else {
			out.Other++
		}
	}
	return out, nil
}

func (w *watched) makeTable(ctx context.Context) error {
	_, err := w.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(verifyTable), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
	})
	if err != nil {
		return fmt.Errorf("make a table: %w", err)
	}
	return nil
}

// message takes one with a text of so many bytes through its life.
func (w *watched) message(ctx context.Context, length int) error {
	store := &message.Store{DB: w, Table: verifyTable, Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content)}
	now := time.Now()
	mid, err := newID(now, length)
	if err != nil {
		return err
	}
	c := content.Content{Type: content.TypeText, Text: strings.Repeat("x", length)}
	hash, err := c.SHA256()
	if err != nil {
		return err
	}
	m := message.Message{
		AccountID: "acct_bench", ID: mid, Direction: message.Outbound, ChannelID: "chn_0123456789abcdefghjkmnpqrs", ProviderID: "edna", Address: "+35799123456",
		Content: c, ContentSHA256: hash, OnLimit: message.Reject, RulesVersion: "2026-11-01", CreatedBy: "user_1", Outcome: message.Queued,
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"accepted", func() error { return store.Create(ctx, m) }},
		{"end of the conversation", func() error { _, err := store.Tail(ctx, m.AccountID, mid, mid.Time()); return err }},
		{"sent", func() error {
			_, err := store.Sent(ctx, m.AccountID, mid, 1, message.Handover{ProviderMessageID: mid.String(), At: now, Attempt: true})
			return err
		}},
		{"delivered", func() error { return w.report(ctx, store, m, message.Delivered, now) }},
		{"read", func() error { return w.report(ctx, store, m, message.Read, now) }},
	}
	for _, s := range steps {
		w.what = fmt.Sprintf("message of %d bytes: %s", length, s.what)
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", w.what, err)
		}
	}
	return nil
}

func (w *watched) report(ctx context.Context, store *message.Store, m message.Message, status message.Status, at time.Time) error {
	_, err := store.Report(ctx, m.AccountID, m.ChannelID, m.ID, message.Report{Status: status, At: at, ProviderMessageID: m.ID.String()})
	return err
}

// gate fills a ledger message by message up to 40, and settles all of it.
func (w *watched) gate(ctx context.Context) error {
	store := &usage.Store{DB: w, Table: verifyTable, Now: time.Now}
	const accountID, most = "acct_bench", 40
	terms := usage.Terms{PlanID: "bench", Version: "bench@1", Limit: 1_000_000, Kind: usage.Month, InFlight: most}
	w.what = "gate: made"
	if err := store.Create(ctx, accountID, terms); err != nil {
		return err
	}
	g, err := store.Read(ctx, accountID, true)
	if err != nil {
		return err
	}
	for n := range most {
		mid, err := newID(time.Now(), 1000+n)
		if err != nil {
			return err
		}
		w.what = fmt.Sprintf("gate: message %d claimed", n+1)
		if g, err = store.Reserve(ctx, accountID, terms, usage.Claim{Messages: []id.Message{mid}, Nonce: uint32(n), Gate: g}); err != nil {
			return err
		}
	}
	w.what = fmt.Sprintf("gate: %d messages settled", len(g.Entries))
	var list []usage.Settlement
	for e := range maps.Values(g.Entries) {
		list = append(list, usage.Settlement{Entry: e})
	}
	return store.Settle(ctx, g, list)
}

// newID makes an id that depends on the number alone, but for its time.
func newID(now time.Time, n int) (id.Message, error) {
	keyer, err := id.NewConversationKeyer([]byte("bench-bench-bench-bench-bench-32"))
	if err != nil {
		return id.Message{}, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d", n))
	source := id.Source{Now: func() time.Time { return now }, Random: strings.NewReader(hex.EncodeToString(sum[:]))}
	return source.NewMessage(keyer.Key("acct_bench", "chn_bench", fmt.Sprintf("+35799%06d", n)))
}
