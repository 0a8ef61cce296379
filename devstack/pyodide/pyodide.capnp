# The part of workerd's schema of a Python bundle that this project needs.
@0xb76cbb8ff1b6ec70;

struct Bundle {
  modules @0 :List(Module);
}

struct Module {
  name @0 :Text;
  union {
    src @1 :Data;   # JavaScript
    wasm @4 :Data;
    data @5 :Data;
    json @6 :Text;
  }
  type @2 :Type;
  tsDeclaration @3 :Text;
  compileCache @7 :Data;

  enum Type {
    bundle @0;
    builtin @1;
    internal @2;
  }
}
