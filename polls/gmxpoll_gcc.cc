// Polls by compile flag, for GCC: `gcc -fplugin=gmxpoll_gcc.so`. docs/runtimes.md says what they are for, and
// GmxPoll.cpp, the same for Clang, where polls stand.
//
// GCC has no convention of calls that keeps every register. So the call of gmx_poll_slow is inline assembly, which
// loses none but those of which gmx_poll_slow says so. The compiler then takes a function without other calls for a
// leaf: it does not align the stack, which gmx_poll_slow does not need, and on x86-64 it would use the red zone below
// the stack pointer, which the plugin therefore turns off.
//
// `-fplugin-arg-gmxpoll_gcc-tied`: all polls of the file stay on their threads. `__attribute__((annotate(
// "gmx_no_poll")))`, `annotate("gmx_poll_tied")`: the same for one function; `no_instrument_function` is as the first.
// clang-format off: the order of these headers matters
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "config.h"
#include "system.h"
#include "coretypes.h"
#include "backend.h"
#include "target.h"
#include "tree.h"
#include "gimple.h"
#include "tree-pass.h"
#include "context.h"
#include "stringpool.h"
#include "attribs.h"
#include "cgraph.h"
#include "cfganal.h"
#include "ssa.h"
#include "gimple-iterator.h"
#include "gimple-walk.h"
#include "tree-cfg.h"
#include "tree-into-ssa.h"
#include "cfgloop.h"
#include "tree-ssa-loop-niter.h"
#include "varasm.h"
#include "diagnostic-core.h"
// clang-format on

int plugin_is_GPL_compatible; // MIT and Apache-2.0 are

namespace {

// Statements that a loop without polls may run.
const HOST_WIDE_INT SHORT = 4096;

bool all_tied;
tree word;
hash_set<tree> *at_entry;

// Functions of the C library that say that they answer always the same, and answer for the thread.
bool is_of_thread(tree f) {
  static const char *const names[] = {"__errno_location", "__h_errno_location", "pthread_self",
                                      "thrd_current",     "__ctype_b_loc",      "__ctype_tolower_loc",
                                      "__res_state",      "__ctype_toupper_loc"};
  if (!f || TREE_CODE(f) != FUNCTION_DECL || !DECL_NAME(f) || DECL_INITIAL(f)) return false;
  for (auto name : names)
    if (!strcmp(IDENTIFIER_POINTER(DECL_NAME(f)), name)) return true;
  return false;
}

// They lose the promise when they are declared: the answer changes when a call in between continues elsewhere.
void declared(void *decl, void *) {
  tree f = static_cast<tree>(decl);
  if (!is_of_thread(f)) return;
  TREE_READONLY(f) = 0;
  DECL_PURE_P(f) = 0;
}

// ---- attributes ----------------------------------------------------------------------------------------------------

bool annotated(tree f, const char *text) {
  for (tree at = lookup_attribute("annotate", DECL_ATTRIBUTES(f)); at; at = lookup_attribute("annotate", TREE_CHAIN(at))) {
    tree value = TREE_VALUE(at) ? TREE_VALUE(TREE_VALUE(at)) : NULL_TREE;
    if (value && TREE_CODE(value) == STRING_CST && !strcmp(TREE_STRING_POINTER(value), text)) return true;
  }
  return false;
}

// In another function the polls of that function would be placed in it.
tree annotate(tree *node, tree, tree args, int, bool *) {
  tree value = TREE_VALUE(args);
  if (TREE_CODE(*node) == FUNCTION_DECL && TREE_CODE(value) == STRING_CST && !strncmp(TREE_STRING_POINTER(value), "gmx_", 4))
    DECL_UNINLINABLE(*node) = 1;
  return NULL_TREE;
}

attribute_spec annotate_spec = {"annotate", 1, -1, false, false, false, false, annotate, NULL};

void attributes(void *, void *) { register_attribute(&annotate_spec); }

// ---- which functions poll when they begin --------------------------------------------------------------------------

bool may_poll(tree f) {
  return !lookup_attribute("no_instrument_function", DECL_ATTRIBUTES(f)) && !annotated(f, "gmx_no_poll") &&
         !lookup_attribute("naked", DECL_ATTRIBUTES(f)) && !lookup_attribute("interrupt", TYPE_ATTRIBUTES(TREE_TYPE(f)));
}

// Whether a call may lead to a function that the module does not know and that calls back.
bool leads_out(cgraph_node *callee) {
  return !callee->definition && !fndecl_built_in_p(callee->decl) && !is_of_thread(callee->decl);
}

// Whether the functions that `from` calls lead out, or back to `to`.
bool leads(cgraph_node *from, cgraph_node *to, bool &out, hash_set<cgraph_node *> &seen) {
  if (from->indirect_calls) out = true;
  bool back = false;
  for (cgraph_edge *e = from->callees; e; e = e->next_callee) {
    cgraph_node *callee = e->callee->ultimate_alias_target();
    if (callee == to) back = true;
    if (leads_out(callee)) out = true;
    else if (callee->definition && !seen.add(callee)) back |= leads(callee, to, out, seen);
  }
  return back;
}

void find_circles(void *, void *) {
  if (!at_entry) at_entry = new hash_set<tree>;
  cgraph_node *node;
  FOR_EACH_DEFINED_FUNCTION(node) {
    if (node->alias || node->inlined_to || !may_poll(node->decl)) continue;
    bool out = false;
    hash_set<cgraph_node *> seen;
    bool circle = leads(node, node, out, seen);
    bool known = node->externally_visible || TREE_PUBLIC(node->decl) || node->address_taken;
    if (circle || (out && known)) at_entry->add(node->decl);
  }
}

// ---- polls ---------------------------------------------------------------------------------------------------------

tree thread_local_in(tree *t, int *, void *) {
  return VAR_P(*t) && DECL_THREAD_LOCAL_P(*t) ? *t : NULL_TREE;
}

// Whether the compiler may keep, over any statement of the function, what is right on one thread only.
bool knows_its_thread(function *f) {
  basic_block bb;
  FOR_EACH_BB_FN(bb, f) {
    for (auto g = gsi_start_bb(bb); !gsi_end_p(g); gsi_next(&g)) {
      gimple *s = gsi_stmt(g);
      if (is_gimple_debug(s)) continue;
      walk_stmt_info info;
      memset(&info, 0, sizeof info);
      if (walk_gimple_op(s, thread_local_in, &info)) return true;
      if (!is_gimple_call(s)) continue;
      if (is_of_thread(gimple_call_fndecl(s))) return true;
      if (gimple_call_lhs(s) && !gimple_call_num_args(s) && !gimple_call_internal_p(s) && gimple_call_flags(s) & ECF_CONST)
        return true;
    }
  }
  return false;
}

gasm *call_slow(bool tied) {
  vec<tree, va_gc> *clobbers = NULL;
  auto lost = [&](const char *name) { vec_safe_push(clobbers, build_tree_list(NULL_TREE, build_string(strlen(name), name))); };
  lost("memory");
  lost("cc");
  // By the address in the GOT: the loader's resolver keeps the registers of arguments only.
#ifdef MASK_NO_RED_ZONE
  const char *text = tied ? "{call\t*gmx_poll_slow_tied@GOTPCREL(%%rip)|call\t[QWORD PTR gmx_poll_slow_tied@GOTPCREL[rip]]}"
                          : "{call\t*gmx_poll_slow@GOTPCREL(%%rip)|call\t[QWORD PTR gmx_poll_slow@GOTPCREL[rip]]}";
#elif defined(TARGET_SVE)
  const char *text = tied ? "adrp\tx30, :got:gmx_poll_slow_tied\n\tldr\tx30, [x30, :got_lo12:gmx_poll_slow_tied]\n\tblr\tx30"
                          : "adrp\tx30, :got:gmx_poll_slow\n\tldr\tx30, [x30, :got_lo12:gmx_poll_slow]\n\tblr\tx30";
  lost("x30");
  for (int i = 0; TARGET_SVE && i < 32; i++) {
    lost(xasprintf("v%d", i));
    if (i < 16) lost(xasprintf("p%d", i));
  }
#else
#error "libgomax runs on x86-64 and AArch64"
#endif
  gasm *call = gimple_build_asm_vec(text, NULL, NULL, clobbers, NULL);
  gimple_asm_set_volatile(call, true);
  return call;
}

// Places a poll before the statement that ends the block.
void poll_at_end(basic_block bb, bool tied) {
  gimple_stmt_iterator at = gsi_last_nondebug_bb(bb);
  edge on;
  if (!gsi_end_p(at) && stmt_ends_bb_p(gsi_stmt(at))) {
    gsi_prev_nondebug(&at);
    on = gsi_end_p(at) ? split_block_after_labels(bb) : split_block(bb, gsi_stmt(at));
  } else {
    on = gsi_end_p(at) ? split_block_after_labels(bb) : split_block(bb, gsi_stmt(at));
  }
  basic_block head = on->src;
  tree value = make_ssa_name(unsigned_type_node);
  gimple *load = gimple_build_assign(value, word);
  gimple_set_has_volatile_ops(load, true);
  gimple_stmt_iterator end = gsi_last_bb(head);
  if (gsi_end_p(end)) {
    end = gsi_after_labels(head);
    gsi_insert_before(&end, load, GSI_NEW_STMT);
  } else {
    gsi_insert_after(&end, load, GSI_NEW_STMT);
  }
  gcond *asked = gimple_build_cond(NE_EXPR, value, build_int_cst(unsigned_type_node, 0), NULL_TREE, NULL_TREE);
  gsi_insert_after(&end, asked, GSI_NEW_STMT);

  basic_block cold = create_empty_bb(head);
  if (current_loops) add_bb_to_loop(cold, head->loop_father);
  on->flags = EDGE_FALSE_VALUE;
  on->probability = profile_probability::very_likely();
  edge to = make_edge(head, cold, EDGE_TRUE_VALUE);
  to->probability = profile_probability::very_unlikely();
  cold->count = head->count.apply_probability(to->probability);
  make_single_succ_edge(cold, on->dest, EDGE_FALLTHRU);
  gimple_stmt_iterator in_cold = gsi_start_bb(cold);
  gsi_insert_after(&in_cold, call_slow(tied), GSI_NEW_STMT);
}

bool calls(gimple *s) { return is_gimple_call(s) && !gimple_call_internal_p(s) && !gimple_call_builtin_p(s); }

// An innermost loop of few turns that calls nothing.
bool is_short(class loop *l) {
  if (l->inner) return false;
  HOST_WIDE_INT turns = get_max_loop_iterations_int(l), size = 0;
  if (turns < 0 || turns > SHORT) return false;
  basic_block *body = get_loop_body(l);
  bool found = false;
  for (unsigned i = 0; i < l->num_nodes; i++) {
    for (auto g = gsi_start_bb(body[i]); !gsi_end_p(g); gsi_next_nondebug(&g), size++) found |= calls(gsi_stmt(g));
  }
  free(body);
  return !found && (turns + 1) * size <= SHORT;
}

// Whether each turn that ends at `from` calls a function that polls when it begins.
bool calls_poll(class loop *l, basic_block from) {
  for (basic_block bb = from; bb && flow_bb_inside_loop_p(l, bb); bb = get_immediate_dominator(CDI_DOMINATORS, bb)) {
    for (auto g = gsi_start_bb(bb); !gsi_end_p(g); gsi_next(&g)) {
      tree f = is_gimple_call(gsi_stmt(g)) ? gimple_call_fndecl(gsi_stmt(g)) : NULL_TREE;
      if (f && at_entry->contains(f) && decl_binds_to_current_def_p(f)) return true;
    }
    if (bb == l->header) break;
  }
  return false;
}

const pass_data poll_data = {GIMPLE_PASS, "gmxpoll", OPTGROUP_NONE, TV_NONE, PROP_cfg | PROP_ssa, 0, 0, 0,
                             TODO_update_ssa | TODO_cleanup_cfg};

struct poll_pass : gimple_opt_pass {
  explicit poll_pass(gcc::context *c) : gimple_opt_pass(poll_data, c) {}

  unsigned execute(function *f) override {
    if (!may_poll(f->decl)) return 0;
    if (!at_entry) find_circles(NULL, NULL);
    if (!word) declare_word();
    loop_optimizer_init(LOOPS_NORMAL);
    calculate_dominance_info(CDI_DOMINATORS);
    mark_dfs_back_edges();
    auto_vec<basic_block> at;
    basic_block bb;
    FOR_EACH_BB_FN(bb, f) {
      edge e;
      edge_iterator i;
      bool polls = false;
      FOR_EACH_EDGE(e, i, bb->succs) {
        if (!(e->flags & EDGE_DFS_BACK)) continue;
        auto l = e->dest->loop_father;
        bool natural = l && l->header == e->dest && flow_bb_inside_loop_p(l, bb);
        if (!natural || (!is_short(l) && !calls_poll(l, bb))) polls = true;
      }
      if (polls) at.safe_push(bb);
    }
    bool first = at_entry->contains(f->decl);
    bool tied = all_tied || annotated(f->decl, "gmx_poll_tied") || knows_its_thread(f);
    loop_optimizer_finalize();
    free_dominance_info(CDI_DOMINATORS);
    for (auto b : at) poll_at_end(b, tied);
    if (first) poll_at_end(split_edge(single_succ_edge(ENTRY_BLOCK_PTR_FOR_FN(f))), tied);
    if (first || !at.is_empty()) mark_virtual_operands_for_renaming(f);
    free_dominance_info(CDI_DOMINATORS);
    return 0;
  }

private:
  static void declare_word() {
    tree type = build_qualified_type(unsigned_type_node, TYPE_QUAL_VOLATILE);
    word = build_decl(UNKNOWN_LOCATION, VAR_DECL, get_identifier("gmx_poll_word"), type);
    TREE_PUBLIC(word) = DECL_EXTERNAL(word) = DECL_ARTIFICIAL(word) = 1;
    TREE_THIS_VOLATILE(word) = TREE_SIDE_EFFECTS(word) = TREE_ADDRESSABLE(word) = 1;
  }
};

} // namespace

int plugin_init(plugin_name_args *args, plugin_gcc_version *version) {
  if (!plugin_default_version_check(version, &gcc_version)) {
    error("%s was built for GCC %s", args->full_name, gcc_version.basever);
    return 1;
  }
  for (int i = 0; i < args->argc; i++) {
    if (strcmp(args->argv[i].key, "tied")) {
      error("%s has no argument %qs", args->full_name, args->argv[i].key);
      return 1;
    }
    all_tied = true;
  }
#ifdef MASK_NO_RED_ZONE
  target_flags |= MASK_NO_RED_ZONE;
#endif
  register_callback(args->base_name, PLUGIN_ATTRIBUTES, attributes, NULL);
  register_callback(args->base_name, PLUGIN_FINISH_DECL, declared, NULL);
  register_callback(args->base_name, PLUGIN_ALL_IPA_PASSES_END, find_circles, NULL);
  static const ggc_root_tab roots[] = {{&word, 1, sizeof word, &gt_ggc_mx_tree_node, &gt_pch_nx_tree_node},
                                       {NULL, 0, 0, NULL, NULL}};
  register_callback(args->base_name, PLUGIN_REGISTER_GGC_ROOTS, NULL, const_cast<ggc_root_tab *>(roots));
  register_pass_info pass = {new poll_pass(g), "optimized", 1, PASS_POS_INSERT_BEFORE};
  register_callback(args->base_name, PLUGIN_PASS_MANAGER_SETUP, NULL, &pass);
  return 0;
}
