package main

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// a reply is kept for as long as its account says when it comes; those that are there keep their time.
func TestR9_10RepliesAreKeptAsLongAsTheAccountSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stored(w.first, replyBody(1001, 1, "before", ""))
	if _, err := w.accounts.SetRetention(context.Background(), acct, 30, byUser()); err != nil {
		t.Fatal(err)
	}
	w.stored(w.first, replyBody(1001, 2, "after", ""))
	for _, m := range w.inbox(w.first) {
		want := 365 * 24 * time.Hour
		if m.Content.Text == "after" {
			want = 30 * 24 * time.Hour
		}
		found, err := w.env.DynamoDB.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &w.messages.Table, Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: acct + "#" + m.ID.Conversation}, "sk": &types.AttributeValueMemberS{Value: "m#" + m.ID.Unique},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := found.Item["ttl"].(*types.AttributeValueMemberN).Value; got != strconv.FormatInt(m.CreatedAt().Add(want).Unix(), 10) {
			t.Errorf("%s ends at %s", m.Content.Text, got)
		}
	}
}
