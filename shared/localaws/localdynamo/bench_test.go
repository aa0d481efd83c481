package localdynamo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkCalls is the cost of a call, JSON included but no network, against a table of 10,000 items with a sparse index.
func BenchmarkCalls(b *testing.B) {
	s := New()
	call := func(operation, body string) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
	call("CreateTable", `{"TableName":"items","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"},{"AttributeName":"due","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
		"GlobalSecondaryIndexes":[{"IndexName":"due","KeySchema":[{"AttributeName":"due","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`)
	const items = 10_000
	put := func(i int) {
		call("PutItem", fmt.Sprintf(`{"TableName":"items","Item":{"pk":{"S":"p%d"},"sk":{"S":"m%d"},"n":{"N":"1"},"pad":{"S":%q}}}`, i%1000, i, strings.Repeat("x", 300)))
	}
	for i := range items {
		put(i)
	}
	for _, bc := range []struct {
		name string
		call func(i int)
	}{
		{"UpdateItem", func(i int) {
			call("UpdateItem", fmt.Sprintf(`{"TableName":"items","Key":{"pk":{"S":"p%d"},"sk":{"S":"m%d"}},"UpdateExpression":"SET n = n + :one","ConditionExpression":"n >= :one",
				"ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnValues":"ALL_NEW"}`, i%1000, i%items))
		}},
		{"Query", func(i int) {
			call("Query", fmt.Sprintf(`{"TableName":"items","KeyConditionExpression":"pk = :p AND sk <= :s","ExpressionAttributeValues":{":p":{"S":"p%d"},":s":{"S":"z"}},"Limit":3,"ScanIndexForward":false}`, i%1000))
		}},
		{"PutItem", func(i int) { put(items + i) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				bc.call(i)
				i++
			}
		})
	}
}
