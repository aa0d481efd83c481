package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"contactcenter/scripts/local/internal/eventsource"
	"contactcenter/scripts/local/internal/gateway"
	"contactcenter/scripts/local/internal/runtime"
	"contactcenter/scripts/local/internal/schedule"
	"contactcenter/scripts/local/internal/template"
	"contactcenter/scripts/local/internal/token"
	"contactcenter/scripts/simulator/simulators"
	"contactcenter/scripts/simulator/stage"
	"contactcenter/shared/localaws"
)

// maxProcesses bounds the processes of one function, maxSlow those of one that a queue invokes, when some of them take long.
const (
	maxProcesses = 8
	maxSlow      = 32
)

// firstMessage is the script that is ready to paste; it expects API to be set.
//
//go:embed first-message.sh
var firstMessage string

// stack is the application with all that it stands on.
type stack struct {
	options    options
	logs       *runtime.Logs
	pool       *runtime.Pool
	stores     *stores
	issuers    map[string]*token.Issuer
	functions  []*function
	api        atomic.Pointer[gateway.API]
	ready      atomic.Bool
	apiAddress string
	simAddress string
	// settings are those of all providers, for the functions' environment.
	settings map[string]string
	// broken is told of a listener that failed; the stack can't go on then.
	broken chan error
	// ends are what has to be ended, in the order it was begun.
	ends []func()
}

// function is a function of the template that runs.
type function struct {
	*runtime.Function
	logicalID, name, folder string
}

func (s *stack) apiURL() string { return endpoint(s.apiAddress) }

// start brings everything up. On an error nothing is left behind.
func start(ctx context.Context, o options, progress, logs io.Writer) (*stack, error) {
	s := &stack{options: o, logs: runtime.NewLogs(logs, time.Now), pool: runtime.NewPool(), issuers: map[string]*token.Issuer{}, broken: make(chan error, 2)}
	s.ends = append(s.ends, s.pool.Close)
	if err := s.up(ctx, steps{out: progress, quiet: o.quiet}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *stack) up(ctx context.Context, say steps) error {
	path, t, err := readTemplate(s.options.template)
	if err != nil {
		return err
	}
	if s.apiAddress, err = s.listen("-api", s.options.api, s.handler()); err != nil {
		return err
	}
	if err := s.startSimulators(); err != nil {
		return err
	}
	chosen := template.Options{Parameters: s.parameters(t)}
	app, err := t.Resolve(chosen)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	root := filepath.Dir(path)
	built := s.background(ctx, func(ctx context.Context) (map[string]string, error) {
		return build(ctx, root, s.options.cache, app.Functions)
	})
	queues, err := s.openStores(ctx, say, app)
	if err != nil {
		return err
	}
	if err := s.makeIssuers(app.API); err != nil {
		return err
	}
	var programs map[string]string
	err = say.step("building "+count(len(app.Functions), "function"), func() (err error) {
		programs, err = built()
		return err
	})
	if err != nil {
		return err
	}
	// Now that the queues are there, their URLs and ARNs are known.
	chosen.Refs, chosen.Attributes = map[string]string{}, map[string]string{}
	for id, q := range queues {
		chosen.Refs[id], chosen.Attributes[id+".Arn"] = q.url, q.arn
	}
	if app, err = t.Resolve(chosen); err != nil {
		return err
	}
	if err := s.wire(ctx, app, root, programs, queues); err != nil {
		return err
	}
	if err := say.step("demo data", func() error { return s.sowQuietly(ctx) }); err != nil {
		return err
	}
	s.ready.Store(true)
	return nil
}

// startSimulators serves each provider's stand-in under its id.
func (s *stack) startSimulators() error {
	mux := http.NewServeMux()
	var err error
	if s.simAddress, err = s.listen("-sim", s.options.sim, mux); err != nil {
		return err
	}
	// A CRM on the same machine has no address on the public Internet.
	s.settings = map[string]string{"EVENT_TARGETS": "local"}
	for _, p := range simulators.All() {
		settings := providerSettings(p, endpoint(s.simAddress))
		handler, end := p.Start(settings, s.logs.Logger("simulator/"+p.ID))
		s.ends = append(s.ends, end)
		mux.Handle("/"+p.ID+"/", http.StripPrefix("/"+p.ID, handler))
		maps.Copy(s.settings, settings)
	}
	return nil
}

func readTemplate(named string) (string, *template.Template, error) {
	path, err := findTemplate(named)
	if err != nil {
		return "", nil, err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("read the template: %w", err)
	}
	t, err := template.Parse(source)
	return path, t, err
}

// background does something beside the rest of the start, and gives a function that waits for it. When the stack is
// closed first, it is stopped and waited for.
func (s *stack) background(ctx context.Context, do func(context.Context) (map[string]string, error)) func() (map[string]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	var out map[string]string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err = do(ctx)
	}()
	s.ends = append(s.ends, func() {
		cancel()
		<-done
	})
	return func() (map[string]string, error) {
		<-done
		return out, err
	}
}

// parameters are the template's parameters: what one machine decides, and over it what the caller says.
func (s *stack) parameters(t *template.Template) map[string]string {
	local := map[string]string{"PublicBaseUrl": s.apiURL(), "CrmOrigin": "http://localhost:5173"}
	out := map[string]string{}
	for _, name := range t.Parameters() {
		if value, ok := local[name]; ok {
			out[name] = value
		}
	}
	maps.Copy(out, s.options.parameters)
	return out
}

// openStores finds DynamoDB and SQS, and creates the template's tables and queues there. It gives the queues by logical
// id.
func (s *stack) openStores(ctx context.Context, say steps, app *template.App) (map[string]queue, error) {
	if err := say.step("DynamoDB and SQS", func() error { return s.findStores(ctx) }); err != nil {
		return nil, err
	}
	if err := say.step(count(len(app.Tables), "table"), func() error { return s.stores.createTables(ctx, app.Tables) }); err != nil {
		return nil, err
	}
	var queues map[string]queue
	err := say.step(count(len(app.Queues), "queue"), func() (err error) {
		queues, err = s.stores.createQueues(ctx, app.Queues)
		return err
	})
	return queues, err
}

// findStores takes DynamoDB and SQS where the environment says they are, and starts what it doesn't name.
func (s *stack) findStores(ctx context.Context) error {
	dynamodbURL, sqsURL := os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"), os.Getenv("AWS_ENDPOINT_URL_SQS")
	if dynamodbURL == "" || sqsURL == "" {
		server, err := localaws.Start(context.WithoutCancel(ctx), s.options.aws)
		if err != nil {
			return inUse("-aws", s.options.aws, err)
		}
		s.ends = append(s.ends, func() {
			// It is being ended; what it still had to say helps nobody.
			_ = server.Close()
		})
		dynamodbURL = cmp.Or(dynamodbURL, server.URL())
		sqsURL = cmp.Or(sqsURL, server.URL())
	}
	s.stores = newStores(dynamodbURL, sqsURL)
	return nil
}

// makeIssuers makes an identity provider for each authorizer.
func (s *stack) makeIssuers(api template.API) error {
	for _, name := range slices.Sorted(maps.Keys(api.Authorizers)) {
		a := api.Authorizers[name]
		audience := ""
		if len(a.Audiences) > 0 {
			audience = a.Audiences[0]
		}
		issuer, err := token.NewIssuer(a.Issuer, audience)
		if err != nil {
			return err
		}
		s.issuers[name] = issuer
	}
	return nil
}

// wire makes the functions and connects what invokes them.
func (s *stack) wire(ctx context.Context, app *template.App, root string, programs map[string]string, queues map[string]queue) error {
	keys, err := localKeys()
	if err != nil {
		return err
	}
	authorizers := map[string]*gateway.Authorizer{}
	for name, a := range app.API.Authorizers {
		authorizers[name] = &gateway.Authorizer{Issuer: a.Issuer, Audiences: a.Audiences, Keys: s.issuers[name].Keys()}
	}
	var routes []gateway.Route
	var sources []func(context.Context)
	for _, f := range app.Functions {
		dir, err := folder(root, f)
		if err != nil {
			return err
		}
		fn := s.addFunction(f, filepath.Base(dir), programs[f.LogicalID], keys)
		for _, r := range f.Routes {
			routes = append(routes, gateway.Route{Method: r.Method, Path: r.Path, Authorizer: authorizers[r.Authorizer], Scopes: r.Scopes, Timeout: r.Timeout, Function: fn.Invoke})
		}
		for _, q := range f.Queues {
			sources = append(sources, s.mapping(fn, q, queues[q.QueueID]).Run)
		}
		for _, sc := range f.Schedules {
			run, err := s.schedule(fn, sc)
			if err != nil {
				return err
			}
			sources = append(sources, run)
		}
	}
	s.api.Store(gateway.New(routes, cors(app.API.CORS), time.Now))
	if !s.options.withoutSources {
		s.begin(ctx, sources)
	}
	return nil
}

func (s *stack) addFunction(f template.Function, label, program string, keys map[string]string) *function {
	bound := maxProcesses
	if len(f.Queues) > 0 {
		bound = maxSlow
	}
	if f.ReservedConcurrency > 0 {
		bound = min(bound, f.ReservedConcurrency)
	}
	fn := &function{logicalID: f.LogicalID, name: f.Name, folder: label}
	fn.Function = s.pool.Add(runtime.Config{
		Label: label, ARN: "arn:aws:lambda:" + template.Region + ":" + template.AccountID + ":function:" + f.Name,
		Program: program, Environment: s.environment(f, keys), Timeout: f.Timeout, MaxProcesses: bound,
	}, s.logs)
	s.functions = append(s.functions, fn)
	return fn
}

func (s *stack) mapping(fn *function, q template.QueueSource, at queue) *eventsource.Mapping {
	concurrency, ceiling := cmp.Or(s.options.batches, maxProcesses), maxSlow
	if q.MaximumConcurrency > 0 {
		concurrency, ceiling = min(concurrency, q.MaximumConcurrency), min(ceiling, q.MaximumConcurrency)
	}
	return &eventsource.Mapping{
		Queue: s.stores.sqs, QueueURL: at.url, QueueARN: at.arn, Region: template.Region,
		BatchSize: q.BatchSize, Window: q.Window, Concurrency: concurrency, Ceiling: ceiling, ReportFailures: q.ReportFailures,
		Function: fn.Invoke,
		Failed:   func(what string, err error) { s.failed(fn, "event source: "+what, err) },
	}
}

func (s *stack) schedule(fn *function, sc template.Schedule) (func(context.Context), error) {
	zone, err := time.LoadLocation(sc.Timezone)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", sc.Name, err)
	}
	expression, err := schedule.Parse(sc.Expression, zone)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", sc.Name, err)
	}
	if sc.Disabled {
		return func(context.Context) {}, nil
	}
	run := &schedule.Schedule{
		Name: sc.Name, Expression: expression, Input: sc.Input, Region: template.Region, AccountID: template.AccountID,
		Function: fn.Invoke, Failed: func(err error) { s.failed(fn, "schedule "+sc.Name, err) },
	}
	return run.Run, nil
}

// failed logs what went wrong on the way to a function; what went wrong in it has been logged by then.
func (s *stack) failed(fn *function, what string, err error) {
	if failed := (*runtime.FunctionError)(nil); !errors.As(err, &failed) && !errors.Is(err, runtime.ErrClosed) {
		s.logs.Error(fn.folder, what, err)
	}
}

// begin runs event sources until the stack is closed.
func (s *stack) begin(ctx context.Context, sources []func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range sources {
		running.Go(func() { run(ctx) })
	}
	s.ends = append(s.ends, func() {
		cancel()
		// What they have in hand must not hold the stack up: it fails with its function.
		s.pool.Close()
		running.Wait()
	})
}

func cors(c *template.CORS) *gateway.CORS {
	if c == nil {
		return nil
	}
	out := gateway.CORS(*c)
	return &out
}

// listen serves on an address, and gives the one that it got.
func (s *stack) listen(flag, address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", inUse(flag, address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.broken <- fmt.Errorf("serve %s: %w", address, err)
		}
	}()
	s.ends = append(s.ends, func() { _ = server.Close() })
	return listener.Addr().String(), nil
}

func inUse(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: stop what listens there (perhaps another local stack), or take another address with %s", address, flag)
	}
	return fmt.Errorf("listen on %s (%s): %w", address, flag, err)
}

// Close ends everything, the last begun first. It may be called once.
func (s *stack) Close() {
	s.ready.Store(false)
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

func (s *stack) announce(out io.Writer, quiet bool) {
	fmt.Fprintf(out, "ready: API %s, simulators %s/{provider_id}, DynamoDB %s, SQS %s\n", s.apiURL(), endpoint(s.simAddress), s.stores.dynamodbURL, s.stores.sqsURL)
	if quiet {
		return
	}
	fmt.Fprintf(out, "\nA first message, ready to paste:\n\nsh <<'SCRIPT'\nAPI=%s\n%sSCRIPT\n\n%sCtrl-C stops everything. Logs are on stderr.\n", s.apiURL(), firstMessage, accounts())
}

// accounts are what a channel of a provider with accounts of one's own can be created with.
func accounts() string {
	out := "Credentials that the simulators take:\n\n"
	for _, p := range simulators.All() {
		if p.Credentials != nil {
			out += p.ID + " " + string(stage.Marshal(p.Credentials)) + "\n"
		}
	}
	return out + "\n"
}
