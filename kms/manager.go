package kms

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
)

// managerID is the id of the one ServerManager.
const managerID = "manager_ServerManager"

// manager is the ServerManager object: always there, never released.
type manager struct {
	elements.MediaObject
	server *Server
	node   *node
	built  string
}

type createdFields struct {
	Object string `json:"object"`
}

type destroyedFields struct {
	ObjectID string `json:"objectId"`
}

// ServerType is KMS or KCS.
type ServerType string

// Values implements the enumeration.
func (ServerType) Values() []string { return []string{"KMS", "KCS"} }

// ModuleInfo is one module of getInfo.
type ModuleInfo struct {
	Version        string   `json:"version"`
	Name           string   `json:"name"`
	GenerationTime string   `json:"generationTime"`
	Factories      []string `json:"factories"`
}

// ServerInfo is the answer of getInfo.
type ServerInfo struct {
	Version      string       `json:"version"`
	Modules      []ModuleInfo `json:"modules"`
	Type         ServerType   `json:"type"`
	Capabilities []string     `json:"capabilities"`
}

// moduleNames are reported whether they have types in this build or not: the
// JavaScript client refuses a server that lacks one.
var moduleNames = []string{"core", "elements", "filters"}

var managerType = elements.Type{
	Name: "ServerManager", Extends: "MediaObject", Module: "core", Abstract: true,
	Doc: "The server itself: what it can make, what lives in it, what it uses.",
	Members: []elements.Member{
		elements.Property[*manager, ServerInfo]("info", (*manager).info, nil),
		elements.Property[*manager, []string]("pipelines", (*manager).pipelines, nil),
		elements.Property[*manager, []string]("sessions", (*manager).sessions, nil),
		elements.Property[*manager, string]("metadata", (*manager).metadata, nil),
		elements.Method("getKmd", (*manager).getKmd),
		elements.Method("getCpuCount", (*manager).getCpuCount),
		elements.Method("getUsedCpu", (*manager).getUsedCpu),
		elements.Method("getUsedMemory", (*manager).getUsedMemory),
		elements.PlainEvent[createdFields]("ObjectCreated"),
		elements.PlainEvent[destroyedFields]("ObjectDestroyed"),
	},
}

func newManager(s *Server) *manager {
	class, _ := s.cfg.Registry.Lookup(managerType.Name)
	m := &manager{server: s, built: buildTime()}
	m.node = &node{id: managerID, obj: m, class: class, holders: map[*session]struct{}{}}
	m.node.root = m.node
	m.Init(elements.Env{ID: managerID, Log: s.log, Emit: func(event string, fields any) { m.node.emit(s, event, fields) }})
	return m
}

// buildTime is that of the commit, or of this start when it is not known.
func buildTime() string {
	at := time.Now()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, x := range info.Settings {
			if t, err := time.Parse(time.RFC3339, x.Value); x.Key == "vcs.time" && err == nil {
				at = t
			}
		}
	}
	return at.UTC().Format("Jan 02 2006 15:04:05")
}

// Close implements elements.Object.
func (m *manager) Close() error { return nil }

func (m *manager) info() ServerInfo {
	out := ServerInfo{Version: m.server.cfg.Version, Type: "KMS", Capabilities: []string{"transactions"}}
	for _, name := range moduleNames {
		mod := ModuleInfo{Version: m.server.cfg.Version, Name: name, GenerationTime: m.built, Factories: []string{}}
		for _, c := range m.server.cfg.Registry.Classes() {
			if c.Module() == name && c.Creatable() {
				mod.Factories = append(mod.Factories, c.Name())
			}
		}
		slices.Sort(mod.Factories)
		out.Modules = append(out.Modules, mod)
	}
	return out
}

func (m *manager) pipelines() []string {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	out := []string{}
	for _, n := range m.server.roots() {
		out = append(out, n.id)
	}
	return out
}

func (m *manager) sessions() []string {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	out := []string{}
	for _, sess := range m.server.sessionOrder {
		out = append(out, sess.id)
	}
	return out
}

func (m *manager) metadata() string { return m.server.cfg.Metadata }

type kmdParams struct {
	ModuleName string `json:"moduleName"`
}

func (m *manager) getKmd(_ context.Context, p kmdParams) (string, error) {
	model, ok := m.server.cfg.Registry.Model(p.ModuleName, m.server.cfg.Version)
	if !ok && !slices.Contains(moduleNames, p.ModuleName) {
		e := kerr.New(kerr.ServerManagerKmdNotFound, "Requested kmd module doesn't exist")
		e.Data = map[string]any{"type": "UNDEFINED"} // the original's, clients may compare it
		return "", e
	}
	text, err := json.Marshal(model)
	return string(text), err
}

func (m *manager) getCpuCount(context.Context, elements.None) (int, error) {
	return runtime.NumCPU(), nil
}

// maxInterval bounds getUsedCpu's measuring, in ms.
const maxInterval = 10_000

type cpuParams struct {
	Interval int `json:"interval" default:"1000"`
}

// getUsedCpu is the process's share of all CPUs in percent over interval ms.
func (m *manager) getUsedCpu(ctx context.Context, p cpuParams) (float64, error) {
	if p.Interval <= 0 || p.Interval > maxInterval {
		return 0, kerr.New(kerr.MediaObjectIllegalParam, "'interval' should be between 1 and %d", maxInterval)
	}
	began, before := time.Now(), cpuTime()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Duration(p.Interval) * time.Millisecond):
	}
	used := cpuTime() - before
	return 100 * used.Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU()), nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// getUsedMemory is the resident memory of the process in KiB.
func (m *manager) getUsedMemory(context.Context, elements.None) (int64, error) {
	raw, err := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(raw)); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			return pages * int64(os.Getpagesize()) / 1024, nil
		}
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.Sys / 1024), nil
}
