//! Gives the module `gomax`, which links libgomax.so. Options for the packages that depend on it: `target`,
//! `optimize`, and `lib_dir` if the library is not where the linker looks. It is an absolute path, since programs
//! keep it as their RPATH: with a relative one they would load whatever lies below the directory that they are
//! started in.
const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const lib_dir = b.option([]const u8, "lib_dir", "The directory of libgomax.so and libgomax.so.0, an absolute path");
    if (lib_dir) |dir| if (!std.fs.path.isAbsolute(dir))
        std.process.fatal("lib_dir is \"{s}\", and must be an absolute path, such as b.pathFromRoot(\"{s}\")", .{ dir, dir });

    const gomax = b.addModule("gomax", .{
        .root_source_file = b.path("src/gomax.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
    });
    if (lib_dir) |dir| {
        gomax.addLibraryPath(.{ .cwd_relative = dir });
        gomax.addRPath(.{ .cwd_relative = dir });
    }
    gomax.linkSystemLibrary("gomax", .{});

    const imports: []const std.Build.Module.Import = &.{.{ .name = "gomax", .module = gomax }};
    const test_step = b.step("test", "Runs the tests");
    const tests_step = b.step("tests", "Builds the tests");
    for ([_][]const u8{ "gomax", "malloc" }) |name| {
        const tests = b.addTest(.{ .name = name, .root_module = b.createModule(.{
            .root_source_file = b.path(b.fmt("tests/{s}.zig", .{name})),
            .target = target,
            .optimize = optimize,
            .imports = imports,
        }) });
        tests_step.dependOn(&tests.step);
        tests.rdynamic = std.mem.eql(u8, name, "malloc"); // its malloc is the library's too
        const run_tests = b.addRunArtifact(tests);
        if (tests.rdynamic) run_tests.setEnvironmentVariable("GMXDEBUG", "malloc=1");
        run_tests.has_side_effects = true; // they are not the same each time: threads, and a seed
        test_step.dependOn(&run_tests.step);
    }

    // Installed, since scripts run them: `meaning` and `wrong` in one process for each of their cases.
    const examples = b.step("examples", "Builds the examples");
    for ([_]struct { []const u8, []const u8, *std.Build.Step }{
        .{ "tests", "meaning", b.step("meaning", "Builds the scenarios of docs/meaning.md") },
        .{ "tests", "wrong", b.step("wrong", "Builds the wrong calls") },
        .{ "examples", "dupes", examples },
        .{ "examples", "echo", examples },
    }) |row| {
        const directory, const name, const step = row;
        const exe = b.addExecutable(.{ .name = name, .root_module = b.createModule(.{
            .root_source_file = b.path(b.fmt("{s}/{s}.zig", .{ directory, name })),
            .target = target,
            .optimize = optimize,
            .imports = imports,
        }) });
        step.dependOn(&b.addInstallArtifact(exe, .{}).step);
    }
}
