import org.testng.ITestListener;
import org.testng.ITestResult;
import org.testng.TestNG;

/** A class of TestNG tests: passes when no method and no configuration failed, and something ran. */
final class TestNgAction implements ITestListener, org.testng.IConfigurationListener {
    private int passed, skipped;
    private Throwable first;
    private String names = "";

    static void run(Class<?> type) throws Throwable {
        TestNgAction listener = new TestNgAction();
        TestNG testng = new TestNG(false);
        testng.setVerbose(0);
        testng.setUseDefaultListeners(false);
        testng.setTestClasses(new Class<?>[] {type});
        testng.addListener(listener);
        testng.run();
        if (listener.first != null || testng.hasFailure()) {
            throw new Exception("TestNG: failed" + listener.names, listener.first);
        }
        System.err.println("TestNG: " + listener.passed + " passed, " + listener.skipped + " skipped");
    }

    @Override
    public void onTestSuccess(ITestResult result) {
        passed++;
    }

    @Override
    public void onTestSkipped(ITestResult result) {
        skipped++;
    }

    @Override
    public void onTestFailure(ITestResult result) {
        failed(result);
    }

    @Override
    public void onConfigurationFailure(ITestResult result) {
        failed(result);
    }

    private void failed(ITestResult result) {
        if (first == null) {
            first = result.getThrowable() == null ? new Exception("no reason given") : result.getThrowable();
        }
        if (names.length() < 2000) {
            names += " " + result.getName() + java.util.Arrays.toString(result.getParameters());
        }
    }
}
