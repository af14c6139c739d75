// Polls by compile flag, for Clang: `clang -fpass-plugin=GmxPoll.so`. docs/runtimes.md says what they are for.
//
// A poll is `if (gmx_poll_word) gmx_poll_slow();`, a load and a branch to a cold block. gmx_poll_slow keeps every
// register, so the hot code saves none. The call is inline assembly: for the compiler the function may still be a leaf.
// It need not align the stack, but must not use the red zone below the stack pointer. (LLVM's convention preserve_all
// says less: code with AVX-512 or x87 saves registers for it, and the address of the callee takes one in each loop.)
//
// Where polls stand:
//
// - On each way back in a loop, but not in innermost loops that are short and call nothing, nor where each turn calls a
//   function that polls when it begins.
// - An innermost loop that calls nothing, whose turns are counted before it begins, becomes two: the inner one runs a
//   few thousand instructions, and the poll stands in the outer one. So the inner loop costs what it did.
// - At the beginning of functions that may be on the stack twice, so that each circle of calls has a poll. Outside the
//   module a function may call each function that other modules know; what the C library has may not.
//
// The polls are placed behind all optimizations: loops are vectorized, unrolled and gone by then, if they can be.
//
// A poll may continue on another thread. Where a function uses a thread-local variable, or a function that says that it
// answers always the same and is asked nothing (`__errno_location`), the optimizer may keep an address of the old
// thread over the poll. So the polls of such a function call gmx_poll_slow_tied, which stays on the thread. And the
// answers of the functions in `OF_THREAD` change when a call in between continues elsewhere, so they lose the promise.
//
// `-fplugin=GmxPoll.so -mllvm -gmx-poll-tied`: all polls of the module stay on their threads.
// `__attribute__((annotate("gmx_no_poll")))`, `annotate("gmx_poll_tied")`: the same for one function.
#include "llvm/ADT/SCCIterator.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/Analysis/CFG.h"
#include "llvm/Analysis/CallGraph.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ScalarEvolution.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/MDBuilder.h"
#include "llvm/IR/Module.h"
#if LLVM_VERSION_MAJOR >= 16
#include "llvm/TargetParser/Triple.h"
#else
#include "llvm/ADT/Triple.h"
#endif
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/PassPlugin.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/KnownBits.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"
#include "llvm/Transforms/Utils/Local.h"
#include "llvm/Transforms/Utils/ScalarEvolutionExpander.h"

using namespace llvm;

static cl::opt<bool> AllTied("gmx-poll-tied", cl::desc("polls of libgomax leave their goroutine on its thread"));

namespace {

// Instructions that a loop without polls may run.
constexpr unsigned SHORT = 4096;

// A loop whose only way out is at its end, and how often it will go back.
struct Counted {
  BasicBlock *Before, *Header, *Latch, *After;
  Value *Backs;
  unsigned Chunk;
};

// The polls of a function: before which instructions, and in which loops around loops.
struct Places {
  SmallVector<Instruction *, 16> At;
  SmallVector<Counted, 8> Loops;
};

// Functions of the C library that say that they answer always the same, and answer for the thread.
constexpr StringLiteral OF_THREAD[] = {"__errno_location", "__h_errno_location", "pthread_self",
                                       "thrd_current",     "__ctype_b_loc",      "__ctype_tolower_loc",
                                       "__res_state",      "__ctype_toupper_loc"};

bool isOfThread(const Function *F) { return F && F->isDeclaration() && is_contained(OF_THREAD, F->getName()); }

// Calls visit(function, text) for each annotation of the module.
template <class Visit> void annotations(Module &M, Visit visit) {
  auto *All = M.getNamedGlobal("llvm.global.annotations");
  auto *List = All && All->hasInitializer() ? dyn_cast<ConstantArray>(All->getInitializer()) : nullptr;
  if (!List) return;
  for (Value *Entry : List->operands()) {
    auto *Fields = cast<ConstantStruct>(Entry);
    auto *F = dyn_cast<Function>(Fields->getOperand(0)->stripPointerCasts());
    auto *Text = dyn_cast<GlobalVariable>(Fields->getOperand(1)->stripPointerCasts());
    auto *Data = Text && Text->hasInitializer() ? dyn_cast<ConstantDataSequential>(Text->getInitializer()) : nullptr;
    if (F && Data && Data->isCString()) visit(*F, Data->getAsCString());
  }
}

bool usesThreadLocal(const Value *V, unsigned Depth = 0) {
  if (auto *G = dyn_cast<GlobalVariable>(V)) return G->isThreadLocal();
  auto *C = dyn_cast<ConstantExpr>(V);
  if (!C || Depth > 8) return false;
  return any_of(C->operands(), [&](const Use &U) { return usesThreadLocal(U.get(), Depth + 1); });
}

// Whether the optimizer may keep, over any instruction of the function, what is right on one thread only.
bool knowsItsThread(const Function &F) {
  for (auto &I : instructions(F)) {
    for (auto &U : I.operands()) {
      if (usesThreadLocal(U.get())) return true;
      auto *T = dyn_cast<PointerType>(U->getType());
      if (T && T->getAddressSpace() >= 256) return true; // relative to fs or gs
    }
    auto *Call = dyn_cast<CallBase>(&I);
    if (!Call || Call->getType()->isVoidTy()) continue;
    if (isOfThread(Call->getCalledFunction())) return true;
    if (auto *II = dyn_cast<IntrinsicInst>(Call)) {
      if (II->getIntrinsicID() == Intrinsic::thread_pointer) return true;
    } else if (Call->arg_empty() && Call->doesNotAccessMemory()) {
      return true;
    }
  }
  return false;
}

// Before the optimizer: what it must not believe, and what it must not inline.
struct Prepare : PassInfoMixin<Prepare> {
  static bool isRequired() { return true; }

  PreservedAnalyses run(Module &M, ModuleAnalysisManager &) {
    for (auto &F : M) {
      if (!isOfThread(&F)) continue;
      promiseNothing(F);
      for (auto *U : F.users()) {
        if (auto *Call = dyn_cast<CallBase>(U)) promiseNothing(*Call);
      }
    }
    annotations(M, [](Function &F, StringRef Text) {
      if (Text != "gmx_no_poll" && Text != "gmx_poll_tied") return;
      F.addFnAttr(Text);
      if (!F.hasFnAttribute(Attribute::AlwaysInline)) F.addFnAttr(Attribute::NoInline);
    });
    return PreservedAnalyses::none();
  }

  template <class T> static void promiseNothing(T &Callee) {
#if LLVM_VERSION_MAJOR >= 16
    Callee.setMemoryEffects(MemoryEffects::unknown());
#else
    for (auto Kind : {Attribute::ReadNone, Attribute::ReadOnly}) Callee.removeFnAttr(Kind);
#endif
  }
};

// Behind the optimizer: the polls.
struct Polls : PassInfoMixin<Polls> {
  static bool isRequired() { return true; }

  PreservedAnalyses run(Module &M, ModuleAnalysisManager &MAM) {
    auto &FAM = MAM.getResult<FunctionAnalysisManagerModuleProxy>(M).getManager();
    SmallPtrSet<Function *, 32> AtEntry;
    findCircles(M, FAM, AtEntry);
    std::vector<std::pair<Function *, Places>> All;
    for (auto &F : M) {
      if (!mayPoll(F)) continue;
      All.push_back({&F, places(F, FAM, AtEntry)});
      if (All.back().second.At.empty() && All.back().second.Loops.empty()) All.pop_back();
    }
    for (auto &[F, Found] : All) {
      bool Tied = AllTied || F->hasFnAttribute("gmx_poll_tied") || knowsItsThread(*F);
      for (auto &L : Found.Loops) Found.At.push_back(split(L));
      for (auto *I : Found.At) insert(M, I, Tied);
      F->addFnAttr(Attribute::NoRedZone);
    }
    return All.empty() ? PreservedAnalyses::all() : PreservedAnalyses::none();
  }

private:
  static bool mayPoll(const Function &F) {
    return !F.isDeclaration() && !F.hasAvailableExternallyLinkage() && !F.hasFnAttribute(Attribute::Naked) &&
           !F.hasFnAttribute("gmx_no_poll") && F.getCallingConv() != CallingConv::X86_INTR;
  }

  // Whether a call may lead to a function that the module does not know and that calls back.
  static bool leadsOut(const CallBase &Call, const TargetLibraryInfo &TLI) {
    if (isa<IntrinsicInst>(Call) || Call.isInlineAsm()) return false;
    auto *F = Call.getCalledFunction();
    LibFunc Known;
    if (!F) return true;
    return F->isDeclaration() && !isOfThread(F) && !F->hasFnAttribute(Attribute::NoCallback) &&
           !(TLI.getLibFunc(*F, Known) && TLI.has(Known));
  }

  static void findCircles(Module &M, FunctionAnalysisManager &FAM, SmallPtrSetImpl<Function *> &AtEntry) {
    // circles of direct calls, callees first
    SmallPtrSet<Function *, 32> Out;
    CallGraph Graph(M);
    for (auto At = scc_begin(&Graph); !At.isAtEnd(); ++At) {
      bool Circle = At.hasCycle(), Leads = false;
      for (auto *Node : *At) {
        auto *F = Node->getFunction();
        if (!F || F->isDeclaration()) continue;
        auto &TLI = FAM.getResult<TargetLibraryAnalysis>(*F);
        for (auto &I : instructions(*F)) {
          auto *Call = dyn_cast<CallBase>(&I);
          if (Call && (leadsOut(*Call, TLI) || (Call->getCalledFunction() && Out.count(Call->getCalledFunction()))))
            Leads = true;
        }
      }
      for (auto *Node : *At) {
        auto *F = Node->getFunction();
        if (!F || F->isDeclaration()) continue;
        if (Leads) Out.insert(F);
        bool Known = !F->hasLocalLinkage() || F->hasAddressTaken();
        if (mayPoll(*F) && (Circle || (Leads && Known))) AtEntry.insert(F);
      }
    }
  }

  static Places places(Function &F, FunctionAnalysisManager &FAM, const SmallPtrSetImpl<Function *> &AtEntry) {
    Places Found;
    auto &LI = FAM.getResult<LoopAnalysis>(F);
    auto &SE = FAM.getResult<ScalarEvolutionAnalysis>(F);
    auto &DT = FAM.getResult<DominatorTreeAnalysis>(F);
    SmallVector<std::pair<const BasicBlock *, const BasicBlock *>, 16> Back;
    FindFunctionBackedges(F, Back);
    SmallPtrSet<const BasicBlock *, 16> Done;
    for (auto &[From, To] : Back) {
      auto *L = LI.getLoopFor(To);
      if (L && L->getHeader() == To && L->contains(From)) {
        unsigned Size = sizeWithoutCalls(*L), Turns = Size ? SE.getSmallConstantMaxTripCount(L) : 0;
        if (Turns && uint64_t(Turns) * Size <= SHORT) continue;
        if (callsPoll(*L, From, DT, AtEntry)) continue;
        if (Size && count(*L, SE, Size, Found.Loops)) continue;
      }
      if (Done.insert(From).second) Found.At.push_back(const_cast<Instruction *>(From->getTerminator()));
    }
    if (AtEntry.count(&F)) {
      auto First = F.getEntryBlock().getFirstInsertionPt();
      while (isa<AllocaInst>(*First)) ++First;
      Found.At.push_back(&*First);
    }
    return Found;
  }

  // The instructions of an innermost loop that calls nothing; 0: it is none.
  static unsigned sizeWithoutCalls(Loop &L) {
    if (!L.isInnermost()) return 0;
    unsigned Size = 0;
    for (auto *B : L.blocks()) {
      for (auto &I : *B) {
        if (isa<CallBase>(I) && !isa<IntrinsicInst>(I)) return 0;
        Size++;
      }
    }
    return Size;
  }

  // Computes before the loop how often it goes back, if that can be known.
  static bool count(Loop &L, ScalarEvolution &SE, unsigned Size, SmallVectorImpl<Counted> &Loops) {
    auto *Before = L.getLoopPreheader(), *Latch = L.getLoopLatch(), *After = L.getExitBlock();
    auto *Branch = Latch ? dyn_cast<BranchInst>(Latch->getTerminator()) : nullptr;
    if (!Before || !Branch || !After || L.getExitingBlock() != Latch) return false;
    auto *Backs = SE.getBackedgeTakenCount(&L);
    auto &DL = Latch->getModule()->getDataLayout();
    if (isa<SCEVCouldNotCompute>(Backs) || SE.getTypeSizeInBits(Backs->getType()) > 64) return false;
    SCEVExpander Expander(SE, DL, "gmx");
#if LLVM_VERSION_MAJOR >= 16
    if (!Expander.isSafeToExpandAt(Backs, Before->getTerminator())) return false;
#else
    if (!isSafeToExpandAt(Backs, Before->getTerminator(), SE)) return false;
#endif
    auto *I64 = Type::getInt64Ty(L.getHeader()->getContext());
    Backs = SE.getNoopOrZeroExtend(Backs, I64);
    addAgain(L);
    Loops.push_back({Before, L.getHeader(), Latch, After, Expander.expandCodeFor(Backs, I64, Before->getTerminator()),
                     std::max(1u, SHORT / Size)});
    return true;
  }

  // The counter of an unrolled loop is a multiple of, say, four, so the optimizer has made `i | 1` of `i + 1`. With a
  // loop around it that is no longer known, and the code generator would compute each address by itself.
  static void addAgain(const Loop &L) {
#if LLVM_VERSION_MAJOR < 18 // later ones keep the knowledge in the instruction
    auto &DL = L.getHeader()->getModule()->getDataLayout();
    for (auto *B : L.blocks()) {
      for (auto &I : make_early_inc_range(*B)) {
        if (I.getOpcode() != Instruction::Or || !isa<ConstantInt>(I.getOperand(1))) continue;
        auto Known = computeKnownBits(I.getOperand(0), DL);
        if (!cast<ConstantInt>(I.getOperand(1))->getValue().isSubsetOf(Known.Zero)) continue;
        auto *Sum = BinaryOperator::CreateAdd(I.getOperand(0), I.getOperand(1), "", &I);
        Sum->takeName(&I);
        I.replaceAllUsesWith(Sum);
        I.eraseFromParent();
      }
    }
#endif
  }

  // Puts a loop around the loop, which ends after Chunk turns or its last; returns where the outer one is to poll.
  //
  //   Before -> Begin -> Header ... Latch -> End -> After
  //               ^         ^---------'       |
  //               '----------- Poll <---------'
  static Instruction *split(const Counted &L) {
    auto &C = L.Header->getContext();
    auto *F = L.Header->getParent();
    auto *I64 = Type::getInt64Ty(C);
    auto *Begin = BasicBlock::Create(C, "gmx.begin", F, L.Header);
    auto *End = BasicBlock::Create(C, "gmx.end", F, L.After);
    auto *Poll = BasicBlock::Create(C, "gmx.poll", F, L.After);
    auto constant = [&](uint64_t N) { return ConstantInt::get(I64, N); };

    IRBuilder<> B(Begin);
    auto *Left = B.CreatePHI(I64, 2, "gmx.left"); // times that the loop is to go back
    for (auto &P : L.Header->phis()) {
      auto *Outer = B.CreatePHI(P.getType(), 2);
      Outer->addIncoming(P.getIncomingValueForBlock(L.Before), L.Before);
      Outer->addIncoming(P.getIncomingValueForBlock(L.Latch), Poll);
      int From = P.getBasicBlockIndex(L.Before);
      P.setIncomingValue(From, Outer);
      P.setIncomingBlock(From, Begin);
    }
    auto *Backs = B.CreateSelect(B.CreateICmpULT(Left, constant(L.Chunk)), Left, constant(L.Chunk));
    auto *Turns = B.CreateAdd(Backs, constant(1));
    B.CreateBr(L.Header);
    L.Before->getTerminator()->replaceSuccessorWith(L.Header, Begin);

    auto *Branch = cast<BranchInst>(L.Latch->getTerminator());
    bool Back = Branch->getSuccessor(0) == L.Header;
    Branch->setSuccessor(Back, End);
    B.SetInsertPoint(Begin->getTerminator());
    if (!endAfter(L, Turns, Begin, B)) {
      B.SetInsertPoint(&*L.Header->begin());
      auto *Turn = B.CreatePHI(I64, 2, "gmx.turn");
      B.SetInsertPoint(Branch);
      auto *Next = B.CreateSub(Turn, constant(1));
      Turn->addIncoming(Turns, Begin);
      Turn->addIncoming(Next, L.Latch);
      auto *Old = Branch->getCondition();
      Branch->setCondition(Back ? B.CreateICmpNE(Next, constant(0)) : B.CreateICmpEQ(Next, constant(0)));
      RecursivelyDeleteTriviallyDeadInstructions(Old);
    }
    for (auto &P : L.After->phis()) P.setIncomingBlock(P.getBasicBlockIndex(L.Latch), End);

    B.SetInsertPoint(End);
    B.CreateCondBr(B.CreateICmpEQ(Left, Backs), L.After, Poll);
    B.SetInsertPoint(Poll);
    Left->addIncoming(L.Backs, L.Before);
    Left->addIncoming(B.CreateSub(Left, Turns), Poll); // going round is one time back
    return B.CreateBr(Begin);
  }

  // If the loop ends when a variable that moves by a constant has a value: gives it the value after so many turns.
  static bool endAfter(const Counted &L, Value *Turns, BasicBlock *Begin, IRBuilder<> &B) {
    auto *Compare = dyn_cast<ICmpInst>(cast<BranchInst>(L.Latch->getTerminator())->getCondition());
    if (!Compare || !Compare->isEquality() || !Compare->hasOneUse()) return false;
    for (unsigned Side : {0, 1}) {
      auto *Moved = dyn_cast<Instruction>(Compare->getOperand(Side));
      auto *P = Moved ? dyn_cast<PHINode>(Moved->getOperand(0)) : nullptr;
      if (!P || P->getParent() != L.Header || P->getIncomingValueForBlock(L.Latch) != Moved) continue;
      auto *By = Moved->getNumOperands() == 2 ? dyn_cast<ConstantInt>(Moved->getOperand(1)) : nullptr;
      if (!By || By->getBitWidth() > 64) continue;
      auto *From = P->getIncomingValueForBlock(Begin);
      auto *Way = B.CreateMul(B.CreateZExtOrTrunc(Turns, By->getType()), By);
      if (Moved->getOpcode() == Instruction::Add) {
        Compare->setOperand(1 - Side, B.CreateAdd(From, Way));
      } else if (auto *Step = dyn_cast<GetElementPtrInst>(Moved)) {
        Compare->setOperand(1 - Side, B.CreateGEP(Step->getSourceElementType(), From, Way));
      } else {
        continue;
      }
      return true;
    }
    return false;
  }

  // Whether each turn that ends at From calls a function that polls when it begins.
  static bool callsPoll(Loop &L, const BasicBlock *From, DominatorTree &DT, const SmallPtrSetImpl<Function *> &AtEntry) {
    for (auto *B : L.blocks()) {
      if (!DT.dominates(B, From)) continue;
      for (auto &I : *B) {
        auto *Call = dyn_cast<CallBase>(&I);
        if (Call && Call->getCalledFunction() && AtEntry.count(Call->getCalledFunction()) &&
            Call->getCalledFunction()->isDefinitionExact())
          return true;
      }
    }
    return false;
  }

  static void insert(Module &M, Instruction *At, bool Tied) {
    auto &C = M.getContext();
    auto *I32 = Type::getInt32Ty(C);
    IRBuilder<> B(At);
    auto *Word = B.CreateAlignedLoad(I32, word(M, I32), Align(4));
    Word->setAtomic(AtomicOrdering::Monotonic);
    auto *Cold = SplitBlockAndInsertIfThen(B.CreateICmpNE(Word, ConstantInt::get(I32, 0)), At, false,
                                           MDBuilder(C).createBranchWeights(1, 1 << 20));
    IRBuilder<> InCold(Cold);
    InCold.CreateCall(slow(M, Tied));
  }

  // In a program the linker makes room for the word itself (a copy relocation), as for GCC's code.
  static Constant *word(Module &M, Type *I32) {
    Constant *Word = M.getOrInsertGlobal("gmx_poll_word", I32);
    bool Program = M.getPICLevel() == PICLevel::NotPIC || M.getPIELevel() != PIELevel::Default;
    if (auto *G = dyn_cast<GlobalVariable>(Word); G && Program && isX86(M)) G->setDSOLocal(true);
    return Word;
  }

  // By the address in the GOT: the loader's resolver keeps the registers of arguments only.
  static InlineAsm *slow(Module &M, bool Tied) {
    std::string Name = Tied ? "gmx_poll_slow_tied" : "gmx_poll_slow";
    std::string Text = isX86(M) ? "call\t$(*" + Name + "@GOTPCREL(%rip)$|qword ptr [rip + " + Name + "@GOTPCREL]$)"
                                : "adrp\tx30, :got:" + Name + "\n\tldr\tx30, [x30, :got_lo12:" + Name + "]\n\tblr\tx30";
    std::string Lost = isX86(M) ? "~{memory},~{dirflag},~{fpsr},~{flags}" : "~{memory},~{cc},~{lr}";
    return InlineAsm::get(FunctionType::get(Type::getVoidTy(M.getContext()), false), Text, Lost, true);
  }

  static bool isX86(const Module &M) { return Triple(M.getTargetTriple()).getArch() == Triple::x86_64; }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "gmx-poll", GMX_VERSION, [](PassBuilder &PB) {
            PB.registerPipelineStartEPCallback([](ModulePassManager &MPM, auto...) { MPM.addPass(Prepare()); });
            PB.registerOptimizerLastEPCallback([](ModulePassManager &MPM, auto...) { MPM.addPass(Polls()); });
          }};
}
